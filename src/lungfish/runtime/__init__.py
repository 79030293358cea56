"""Run a bundle: decode, preprocess, engines, predict, measure. Owns its format; numpy, Pillow and one engine."""
