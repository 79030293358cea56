"""Scan photos: decode them, compute features, and find copies and scenes."""
