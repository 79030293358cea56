"""Quantize the weights and activations of a network to integers."""
