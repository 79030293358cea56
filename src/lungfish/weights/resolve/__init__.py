"""Resolve names of weights."""
