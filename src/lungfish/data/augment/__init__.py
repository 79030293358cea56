"""Random and fixed changes of photos."""
