"""Fetch weights files: check the license, then find or download the file, and verify it."""
