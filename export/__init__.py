"""From a checkpoint to verified Core ML, TFLite and ONNX artifacts, and the bundle a mobile team pulls."""
