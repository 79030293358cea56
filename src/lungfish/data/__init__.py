"""Photos in: sources, inspection, near-duplicates, splits, and features from a trunk that is only a callable here."""
