"""Open pretrained weights: where they come from, under which license, and how they become ours."""
