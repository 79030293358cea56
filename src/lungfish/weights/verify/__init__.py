"""Verify that weights compute the same here as in the library that published them."""
