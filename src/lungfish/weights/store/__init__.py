"""Store files of weights in the cache, with their records."""
