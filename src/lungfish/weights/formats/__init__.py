"""Read files of tensors without trusting their contents, and without torch."""
