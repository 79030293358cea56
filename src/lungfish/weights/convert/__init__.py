"""Tensors under other libraries' names, and under ours."""
