"""The stages of a training job: the head, then deeper layers, each kept only if it is better."""
