"""Which photo trains, validates or tests, and what is wrong with the photos."""
