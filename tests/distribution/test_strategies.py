"""The choice of a strategy, which is logged, on a machine without GPUs."""

import json

import pytest
import tensorflow as tf

from agem_tf import native_output
from agem_tf.distribution.strategies import create_strategy
from agem_tf.distribution.workers import is_chief
from agem_tf.errors import UserError

pytestmark = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU"))
    or native_output.is_tpu_attached(),
    reason="chooses among the devices of a plain machine",
)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("auto", "Strategy one, chosen by auto: 1 replica(s) on CPU"),
        ("one", "Strategy one: 1 replica(s) on CPU"),
        ("mirrored", "Strategy mirrored: 1 replica(s) on CPU"),
    ],
)
def test_the_decision_is_logged(name, line, caplog, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with caplog.at_level("INFO", logger="agem_tf"):
        strategy = create_strategy(name)
    assert line in [record.getMessage() for record in caplog.records]
    assert is_chief(strategy)


def test_auto_reads_the_cluster_of_tf_config(monkeypatch):
    cluster = {"worker": ["first:2222", "second:2222"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster}))
    with pytest.raises(UserError, match="TF_CONFIG has no 'task'"):
        create_strategy("auto")


def test_workers_must_be_created_before_tensorflow_is_used(monkeypatch):
    tf.constant(0)
    task = {"type": "worker", "index": 0}
    cluster = {"worker": ["localhost:23456", "localhost:23457"]}
    text = json.dumps({"cluster": cluster, "task": task})
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match="can.t connect: .*startup"):
        create_strategy("multiworker")


def test_a_gpu_that_tensorflow_cannot_use_is_reported(
    monkeypatch, tmp_path, caplog
):
    (tmp_path / "nvidia0").touch()
    files = (str(tmp_path / "nvidia0"),)
    monkeypatch.setattr(native_output, "GPU_DEVICE_FILES", files)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    create_strategy("one")
    assert "can't use this machine's GPU" in caplog.text
    caplog.clear()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    create_strategy("one")
    assert "GPU," not in caplog.text
