"""What a command prints for an exception, and for which it prints nothing."""

import errno
import os

import pytest

from agem_tf import errors
from agem_tf.errors import UserError, cause, sentence_of


def tensorflow_error(name, text):
    """An error that looks like TensorFlow's, without importing TensorFlow."""
    module = "tensorflow.python.framework.errors_impl"
    return type(name, (Exception,), {"__module__": module})(text)


def test_a_user_error_is_its_own_sentence():
    assert sentence_of(UserError("No run at x.")) == "No run at x."


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_names_the_file_or_else_the_destination(code):
    reason = os.strerror(code)
    named = OSError(code, reason, "run/best.keras")
    expected = f"run/best.keras can't be written: {reason}. Make room"
    assert sentence_of(named, "run").startswith(expected)
    unnamed = OSError(code, reason)
    expected = f"run can't be written: {reason}. Make room"
    assert sentence_of(unnamed, "run").startswith(expected)
    # Libraries raise types of their own, with the system's words.
    other = RuntimeError(f"write failed: {reason}")
    assert sentence_of(other, "run").startswith(expected)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "change its permissions"),
        (errno.EROFS, "choose a path on a file system that can be written"),
        (errno.ENOENT, "check the path"),
        (errno.ELOOP, "check the link"),
        (errno.ENXIO, "give a file"),
    ],
)
def test_an_error_of_the_file_system_names_the_file_and_the_fix(code, advice):
    sentence = sentence_of(OSError(code, "", "gone/x"))
    assert sentence.startswith(f"gone/x: {os.strerror(code)}; {advice}")


@pytest.mark.parametrize(
    "node", ["", "{{function_node __wrapped__Create_device_/job:a/CPU:0}} "]
)
def test_a_file_that_tensorflow_can_not_open_is_named(node):
    reason = os.strerror(errno.EROFS)
    error = tensorflow_error(
        "PermissionDeniedError",
        f"{node}my runs/x; {reason} [Op:CreateSummaryFileWriter] name: ",
    )
    assert sentence_of(error).startswith(f"my runs/x: {reason}; choose a path")


def test_a_lost_worker_is_a_sentence_only_where_there_are_workers(monkeypatch):
    monkeypatch.setattr(errors, "is_tpu_attached", lambda: False)
    monkeypatch.delenv("TF_CONFIG", raising=False)
    error = tensorflow_error(
        "UnavailableError", "Connection reset by peer\nAdditional GRPC x"
    )
    assert sentence_of(error) is None
    monkeypatch.setenv("TF_CONFIG", "{}")
    sentence = sentence_of(error)
    assert "Another worker has stopped (Connection reset by peer)" in sentence
    assert "resumes from the last checkpoint" in sentence
    monkeypatch.delenv("TF_CONFIG")
    monkeypatch.setattr(errors, "is_tpu_attached", lambda: True)
    assert sentence_of(error).startswith("The TPU has stopped")


@pytest.mark.parametrize(
    ("error", "start"),
    [
        (MemoryError(), "The memory of the machine is too small. Use smaller"),
        (
            MemoryError("Unable to allocate 3 TiB for an array"),
            "The memory of the machine is too small (Unable to allocate 3 TiB",
        ),
        (
            tensorflow_error(
                "ResourceExhaustedError",
                "Graph execution error:\n\nDetected at node x\nOOM when "
                "allocating tensor with shape[64,999] on /device:GPU:0\n",
            ),
            "The memory of the GPU is too small (OOM when allocating tensor",
        ),
    ],
)
def test_too_little_memory_says_what_to_lower(error, start):
    assert sentence_of(error).startswith(start)
    assert "extraction.batch_size" in sentence_of(error)


def test_a_defect_has_no_sentence():
    assert sentence_of(KeyError("x")) is None
    assert sentence_of(OSError("no errno")) is None


def test_the_cause_is_the_first_line_that_is_not_about_the_graph():
    text = 'Graph execution error:\n\nDetected at node x\nFile "a"\nNo space.\n'
    assert cause(RuntimeError(text)) == "No space."
    assert cause(RuntimeError()) == "RuntimeError"
    assert len(cause(RuntimeError("x" * 1000))) == 300


def test_an_object_store_that_fails_is_named():
    tf = pytest.importorskip("tensorflow")
    failed = tf.errors.PermissionDeniedError(
        None, None, "Anonymous caller; when reading gs://bucket/data/x.npz"
    )
    sentence = errors.sentence_of(failed)
    assert sentence.startswith("gs://bucket/data/x.npz can't be reached (Anon")
    with pytest.raises(tf.errors.UnimplementedError) as unknown:
        tf.io.gfile.exists("s3://bucket/x")
    sentence = errors.sentence_of(unknown.value)
    assert sentence.startswith("TensorFlow reads gs:// but not s3://; set")
