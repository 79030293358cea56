"""Batches of photos, and activations of augmented views, for training."""
