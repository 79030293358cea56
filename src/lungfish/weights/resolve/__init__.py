"""What a name of weights stands for."""
