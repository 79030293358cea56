"""The training job, from photos to a proven bundle."""
