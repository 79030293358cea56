"""Read, inspect and split labelled photos, find copies, and compute features with a trunk passed in as a callable."""
