"""Local and remote (gs://) paths that a user gives."""

import os

from etils import epath

from agem_tf.errors import UserError


def any_location(path: str | os.PathLike, flag: str) -> epath.Path:
    """Returns a path that may be remote.

    Args:
        path: Local path, or a URL such as gs://bucket/photos.
        flag: Flag that set it, for the error.

    Raises:
        UserError: The URL is of a file system that is not supported.
    """
    try:
        return epath.Path(path).expanduser()
    except KeyError as error:
        raise UserError(
            f"{path} is on a file system that is not supported; give "
            f"{flag} as a local path, or as gs://, s3:// or az://."
        ) from error


def check_local(path: str | os.PathLike, flag: str) -> None:
    """Checks that a path is local.

    Args:
        path: Path of files that are read by offset or mapped into memory.
        flag: Flag that set it, for the error.

    Raises:
        UserError: The path is a URL.
    """
    if "://" in os.fspath(path):
        raise UserError(
            f"{path} is remote, and its files are read at random; give {flag} "
            "as a local directory, and copy it from or to the remote one."
        )
