"""A network's weights and activations in integers."""
