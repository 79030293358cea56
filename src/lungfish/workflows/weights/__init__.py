"""Implement the user stories of `lungfish weights`, one per file."""
