"""Find, fetch, convert and load openly published pretrained weights, and check their licenses."""
