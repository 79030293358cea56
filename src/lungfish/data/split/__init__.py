"""Assign photos to train, val and test, and find problems with them."""
