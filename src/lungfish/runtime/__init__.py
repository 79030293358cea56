"""Run a bundle: decode, preprocess, session, predict, measure. Owns its format; numpy, Pillow and onnxruntime."""
