"""Files of weights in the cache, and their records."""
