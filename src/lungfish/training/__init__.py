"""Transfer learning: what is learned, from which features, and how it is chosen."""
