"""Quantize the weights and activations of an exported network to integers."""
