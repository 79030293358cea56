"""Run ONNX files with onnxruntime, after checking them."""
