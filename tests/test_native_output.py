"""TensorFlow looks for a TPU only where one may be."""

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
