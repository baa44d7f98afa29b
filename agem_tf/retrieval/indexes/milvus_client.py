"""The client of Milvus: its import, its connection, its errors."""

import contextlib
import functools
import os
from collections.abc import Iterator
from logging import CRITICAL, getLogger
from types import ModuleType
from typing import Any

from agem_tf.errors import UserError

# Environment variables with the credentials and the database of a server.
TOKEN = "MILVUS_TOKEN"
_DATABASE = "MILVUS_DATABASE"
# Milvus Lite rejects pymilvus' default of one ping per ten seconds as abuse: it
# closes the connection, and prints a warning, while descriptors are extracted.
_LITE_OPTIONS = {"grpc.keepalive_time_ms": 600_000}


def connect(uri: str, is_lite: bool) -> Any:
    """Returns a pymilvus.MilvusClient.

    Args:
        uri: file of Milvus Lite, or address of a server.
        is_lite: which of both it is.

    Raises:
        UserError: the server can't be reached, or refuses.
    """
    options = {"grpc_options": _LITE_OPTIONS}
    if not is_lite:
        options = {
            "token": os.environ.get(TOKEN, ""),
            "db_name": os.environ.get(_DATABASE, ""),
        }
    with readable_errors():
        return import_pymilvus().MilvusClient(uri, **options)


def stop_lite(uri: str, client: Any) -> None:
    """Stops the server of Milvus Lite; the next use starts it again.

    Args:
        uri: file of Milvus Lite.
        client: its client, None if there is none.
    """
    from milvus_lite.server_manager import server_manager_instance

    if client is not None:
        client.close()
    server_manager_instance.release_server(uri)


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """Turns an error of Milvus into one sentence.

    Raises:
        UserError: Milvus reports an error, or can't be reached.
    """
    try:
        yield
    except import_pymilvus().MilvusException as error:
        raise UserError(f"Milvus: {error.message or error}.") from error
    except UnicodeEncodeError as error:
        raise UserError(
            f"Milvus requires names in UTF-8; rename {error.object!r}."
        ) from error


@functools.cache
def import_pymilvus() -> ModuleType:
    """Imports pymilvus and silences its logs, which repeat what is raised.

    Raises:
        UserError: it can't be imported.
    """
    try:
        import pymilvus
    except ImportError as error:
        raise UserError(
            f"The client of Milvus can't be imported ({error}); run pip "
            "install 'pymilvus[milvus-lite]'."
        ) from error
    # grpc logs in this process for Milvus Lite, which is a server inside it.
    for name in ("pymilvus", "milvus_lite", "grpc"):
        getLogger(name).setLevel(CRITICAL)
    return pymilvus
