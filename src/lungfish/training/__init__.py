"""Transfer learning: recipes, the head on frozen features, and training by gradient descent."""
