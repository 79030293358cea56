"""Store weights files in the cache, with their records."""
