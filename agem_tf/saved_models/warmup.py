"""Requests that TensorFlow Serving runs before it reports a model as ready.

The first request of a signature takes seconds more than the others. The file is
a TFRecord of `tensorflow.serving.PredictionLog`. The few fields that a request
needs are encoded here instead of by the package of their definitions:

    PredictionLog {PredictLog predict_log = 6}
    PredictLog {PredictRequest request = 1}
    PredictRequest {ModelSpec model_spec = 1; map inputs = 2}
    ModelSpec {string signature_name = 3}

Reference: https://www.tensorflow.org/tfx/serving/saved_model_warmup
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

FILE = "assets.extra/tf_serving_warmup_requests"


def write_warmup(
    directory: pathlib.Path, requests: Mapping[str, Mapping[str, Any]]
) -> None:
    """Adds warm-up requests to a SavedModel.

    Args:
        directory: Directory of the SavedModel.
        requests: Signature -> input -> value.
    """
    path = directory / FILE
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, inputs in requests.items():
            writer.write(_prediction_log(signature, inputs))


def _prediction_log(signature: str, inputs: Mapping[str, Any]) -> bytes:
    request = _field(1, _field(3, signature.encode()))
    for name, value in inputs.items():
        tensor = tf.make_tensor_proto(value).SerializeToString()
        request += _field(2, _field(1, name.encode()) + _field(2, tensor))
    return _field(6, _field(1, request))


def _field(number: int, content: bytes) -> bytes:
    """Encodes a field of variable length of a protocol buffer."""
    length, size = bytearray(), len(content)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes([number << 3 | 2, *length]) + content
