"""Errors, names, hashing, files, the cache folder, downloads and progress. Imports nothing else of Lungfish."""
