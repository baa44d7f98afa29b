"""Errors that TensorFlow raises for a TPU are one line too."""

import subprocess
import sys

import pytest

from agem_tf import native_output
from agem_tf.distribution import strategies
from agem_tf.distribution.strategies import create_strategy
from agem_tf.errors import UserError


@pytest.mark.skipif(strategies.supports_tpus(), reason="TensorFlow drives TPUs")
def test_a_tensorflow_without_tpu_support(monkeypatch, tmp_path):
    chips = str(tmp_path / "accel*")
    monkeypatch.setattr(native_output, "TPU_DEVICE_FILES", (chips,))
    (tmp_path / "accel0").touch()
    with pytest.raises(UserError, match="install -r requirements-tpu.txt"):
        create_strategy("tpu", "local")
    # auto does without.
    assert create_strategy("auto").num_replicas_in_sync == 1


def test_a_server_that_is_no_tpu():
    """In another process, because connecting changes TensorFlow's devices."""
    script = (
        "import tensorflow as tf\n"
        "from agem_tf.distribution import strategies\n"
        "server = tf.distribute.Server.create_local_server()\n"
        "strategies.create_strategy('tpu', server.target)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "UserError: --tpu=grpc://localhost" in result.stderr
    assert "does not start: " in result.stderr
