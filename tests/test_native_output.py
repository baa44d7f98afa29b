"""TensorFlow looks for a TPU only where one may be, and is quiet."""

import os

from agem_tf import native_output


def test_the_search_is_skipped_without_a_tpu(monkeypatch, tmp_path):
    # Set first, so that the test leaves nothing behind.
    monkeypatch.setenv("TPU_SKIP_MDS_QUERY", "")
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY")
    chips = str(tmp_path / "accel*")
    monkeypatch.setattr(native_output, "TPU_DEVICE_FILES", (chips,))
    (tmp_path / "accel0").touch()
    native_output.prepare_tensorflow_import()
    assert "TPU_SKIP_MDS_QUERY" not in os.environ
    (tmp_path / "accel0").unlink()
    native_output.prepare_tensorflow_import()
    assert os.environ["TPU_SKIP_MDS_QUERY"] == "1"


def test_errors_are_shown_where_there_is_a_gpu(monkeypatch, tmp_path):
    for name in ("TF_CPP_MIN_LOG_LEVEL", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(native_output, "TPU_DEVICE_FILES", ())
    files = (str(tmp_path / "nvidia[0-9]*"),)
    monkeypatch.setattr(native_output, "GPU_DEVICE_FILES", files)
    native_output.prepare_tensorflow_import()
    assert os.environ.pop("TF_CPP_MIN_LOG_LEVEL") == "3"
    (tmp_path / "nvidia0").touch()
    native_output.prepare_tensorflow_import()
    assert os.environ.pop("TF_CPP_MIN_LOG_LEVEL") == "2"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    native_output.prepare_tensorflow_import()
    assert os.environ.pop("TF_CPP_MIN_LOG_LEVEL") == "3"
