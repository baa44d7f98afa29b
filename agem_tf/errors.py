"""The error type for mistakes of the user, and the sentences for others.

A command prints what `sentence_of` returns as a single line and exits with
status 2, or that of the error; any other exception is a defect of this package
and keeps its traceback.
"""

import errno
import os
import re

from agem_tf.native_output import is_tpu_attached


class UserError(ValueError):
    """A mistake in what the user gave: a file, a record, a flag, a recipe.

    The message is one sentence that names the thing and the fix.

    Attributes:
        status: exit status of a command that it ends.
    """

    status = 2


class PartialResultError(UserError):
    """Raised after a command finished without much of what it was given."""

    status = 3


# Errors of a full disk, and what to do about other errors of files.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ADVICE = {
    errno.EACCES: "change its permissions or choose another path",
    errno.EPERM: "change its permissions or choose another path",
    errno.EROFS: "choose a path on a file system that can be written",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "give a file",
    errno.ENAMETOOLONG: "choose a shorter path",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.EIO: "check the disk",
    errno.ELOOP: "check the link",
    errno.ENXIO: "give a file",
    errno.EBUSY: "end what uses it, or choose another path",
    errno.ENOTCONN: "mount the file system again",
    errno.ESTALE: "mount the file system again",
}
_STORE = re.compile(r"(gs|s3|az|hf)://[^\s'\"]*")
# TensorFlow's words: the node if a graph failed, the path, the system's reason.
_TENSORFLOW_FILE = re.compile(
    rf"(?:\{{\{{.*?\}}\}} )?(\S.*); ({'|'.join(map(os.strerror, _ADVICE))})"
)
_UNKNOWN_STORE = re.compile(r"File system scheme '(\w+)' not implemented")
_LOST_WORKER_ERRORS = {"UnavailableError", "AbortedError"}

# Lines of a TensorFlow error that say where it arose, not why.
_NOT_THE_CAUSE = (
    "Additional GRPC",
    "Detected at node",
    "File ",
    "Graph execution error",
    "<stack traces",
    "[[",
)
_MOST_CHARACTERS = 300


def cause(error: BaseException) -> str:
    """Returns the first line of a TensorFlow error that says why it arose."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = [line for line in lines if not line.startswith(_NOT_THE_CAUSE)]
    return (causes or lines or [type(error).__name__])[0][:_MOST_CHARACTERS]


def sentence_of(error: BaseException, destination: str = "") -> str | None:
    """Returns one sentence for an error that the user can mend, else None.

    Args:
        error: any exception.
        destination: where the command writes, for errors of the disk that
            name no file.
    """
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return (
        _full_disk_sentence(error, destination)
        or _file_sentence(error)
        or _memory_sentence(error)
        or _store_sentence(error)
        or _lost_worker_sentence(error)
    )


def _full_disk_sentence(error: BaseException, destination: str) -> str | None:
    # TensorFlow and HDF5 raise types of their own with the system's words.
    words = [os.strerror(code) for code in _FULL]
    found = [text for text in words if text in str(error)]
    if not found:
        return None
    place = getattr(error, "filename", None) or destination or "A file"
    return (
        f"{place} can't be written: {found[0]}. Make room and give the same "
        "command again; finished files are complete."
    )


def _file_sentence(error: BaseException) -> str | None:
    if isinstance(error, OSError) and error.filename is not None:
        path, code = error.filename, error.errno
    elif _is_of_tensorflow(error) and (
        found := _TENSORFLOW_FILE.match(cause(error))
    ):
        path, reason = found.groups()
        code = next(code for code in _ADVICE if os.strerror(code) == reason)
    else:
        return None
    if code not in _ADVICE:
        return None
    return f"{path}: {os.strerror(code)}; {_ADVICE[code]}."


def _memory_sentence(error: BaseException) -> str | None:
    """Returns a sentence if the memory of the machine or its GPU is too small.

    NumPy and TensorFlow say how large the array was; Python says nothing.
    """
    is_exhausted = (
        _is_of_tensorflow(error)
        and type(error).__name__ == "ResourceExhaustedError"
    )
    if not (is_exhausted or isinstance(error, MemoryError)):
        return None
    reason = cause(error)
    where = "GPU" if "GPU:" in reason else "machine"
    told = "" if reason == type(error).__name__ else f" ({reason})"
    return (
        f"The memory of the {where} is too small{told}. Use smaller photos "
        "(--image_size, image.size), fewer at a time (extraction.batch_size, "
        "mining.num_negatives), fewer --scales, or a larger machine."
    )


def _store_sentence(error: BaseException) -> str | None:
    """Returns a sentence for an error of an object store."""
    words = str(error)
    # fsspec's words for a missing s3fs or adlfs.
    if isinstance(error, ImportError) and words.startswith("Install "):
        return f"{words}, or give a local path."
    if not _is_of_tensorflow(error):
        return None
    if unknown := _UNKNOWN_STORE.search(words):
        return (
            f"TensorFlow reads gs:// but not {unknown[1]}://; set the "
            "environment variable EPATH_USE_TF=false and install fsspec's "
            "package for it, or give a local path."
        )
    place = _STORE.search(words)
    if place is None:
        return None
    return (
        f"{place[0]} can't be reached ({cause(error)}); check the network, the "
        "name and the credentials (gcloud auth application-default login), or "
        "give a local path."
    )


def _is_of_tensorflow(error: BaseException) -> bool:
    # By name, because TensorFlow is not imported here.
    return type(error).__module__.partition(".")[0] == "tensorflow"


def _lost_worker_sentence(error: BaseException) -> str | None:
    """Returns a sentence if another worker, or the TPU, has stopped.

    TensorFlow notices a worker that died by its connection, or after the ten
    seconds that its heartbeat may be silent.
    """
    is_lost = type(error).__name__ in _LOST_WORKER_ERRORS
    if not (is_lost and _is_of_tensorflow(error)):
        return None
    if os.environ.get("TF_CONFIG"):
        who = "Another worker"
    elif is_tpu_attached():
        who = "The TPU"
    else:
        return None
    return (
        f"{who} has stopped ({cause(error)}). Start all workers again with the "
        "same command, which resumes from the last checkpoint."
    )
