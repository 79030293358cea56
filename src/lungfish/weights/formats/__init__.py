"""Readers of files of tensors that trust nothing in them and need no torch."""
