"""Export a network to files that a device can run."""
