"""Fetch files of weights: check the license, then find or download the file, and verify it."""
