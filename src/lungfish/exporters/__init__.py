"""A network to the files that devices run."""
