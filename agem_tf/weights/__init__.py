"""Readers of pretrained weights: Keras' files, PyTorch's and ONNX's."""
