"""Implement the user stories, one per file. Commands and web pages call exactly one of them."""
