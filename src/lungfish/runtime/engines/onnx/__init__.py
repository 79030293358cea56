"""ONNX files on onnxruntime, which sees only what has been checked."""
