"""TFRecord files with random access.

Mining decides in which order photos are drawn, so records are read by offset
instead of streamed. Each read checks the CRC of the record, because a flipped
bit would otherwise be a subtly wrong photo.

Framing, from TensorFlow's record format: uint64 length, uint32 masked CRC of
the length, the payload, uint32 masked CRC of the payload, little endian.
"""

import contextlib
import os
import struct
import threading
import weakref
from collections.abc import Iterator, Sequence
from typing import BinaryIO

import google_crc32c

from agem_tf.errors import UserError
from agem_tf.files.locations import (
    Location,
    as_location,
    is_remote,
    size_of,
)

_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8

# Systems allow a process 1024 open files, and it may have several datasets.
_MOST_OPEN = 256


class RecordWriter:
    """Appends records to a binary file, local or remote."""

    def __init__(self, file: BinaryIO):
        self._file, self._offset = file, 0

    def write(self, payload: bytes) -> int:
        """Appends a record; returns the byte at which it starts."""
        start, length = self._offset, _LENGTH.pack(len(payload))
        record = b"".join(
            [
                length,
                _FOOTER.pack(_masked_crc(length)),
                payload,
                _FOOTER.pack(_masked_crc(payload)),
            ]
        )
        self._file.write(record)
        self._offset += len(record)
        return start


class _LocalBytes:
    """Bytes of a local file, read from any number of threads."""

    def __init__(self, path: Location):
        self._descriptor = os.open(path, os.O_RDONLY)
        self.size = os.fstat(self._descriptor).st_size

    def read(self, count: int, offset: int) -> bytes:
        return os.pread(self._descriptor, count, offset)

    def close(self) -> None:
        os.close(self._descriptor)


class _RemoteBytes:
    """Bytes of a remote file, read from any number of threads.

    Each thread takes an open file, whose buffer then holds what follows.
    """

    def __init__(self, path: Location):
        self._path, self.size = path, size_of(path)
        self._idle: list[BinaryIO] = []
        self._all = contextlib.ExitStack()

    def read(self, count: int, offset: int) -> bytes:
        # The methods of a list are atomic.
        try:
            file = self._idle.pop()
        except IndexError:
            file = self._all.enter_context(self._path.open("rb"))
        file.seek(offset)
        content = file.read(count)
        self._idle.append(file)
        return content

    def close(self) -> None:
        self._idle.clear()
        self._all.close()


class RecordFile:
    """One TFRecord file, read by offset from any number of threads."""

    def __init__(self, path: str | Location):
        """Opens the file.

        Args:
            path: Local path, or a remote one.

        Raises:
            UserError: The file can't be opened.
        """
        self.path = as_location(path, "the file")
        try:
            kind = _RemoteBytes if is_remote(path) else _LocalBytes
            self._bytes = kind(self.path)
        except OSError as error:
            raise UserError(
                f"{path} can't be read ({error.strerror or error}); prepare "
                "the dataset again."
            ) from error
        self._size = self._bytes.size
        # Datasets come and go in a process that may have 1024 open files. At
        # exit, threads of tf.data may still read.
        self._close = weakref.finalize(self, self._bytes.close)
        self._close.atexit = False

    def read(self, offset: int) -> bytes:
        """Returns the payload of the record that starts at byte `offset`.

        Raises:
            UserError: The record is truncated or its checksum fails.
        """
        return self._read(offset)[0]

    def scan(self) -> Iterator[tuple[int, bytes]]:
        """Yields (offset, payload) of every record in file order."""
        offset = 0
        while offset < self._size:
            payload, end = self._read(offset)
            yield offset, payload
            offset = end

    def close(self) -> None:
        """Closes the file; otherwise it closes with the last reference."""
        self._close()

    def _read(self, offset: int) -> tuple[bytes, int]:
        header = self._bytes_at(offset, _HEADER.size, offset)
        if len(header) < _HEADER.size:
            raise self._corrupt(offset, "it is truncated")
        length, length_crc = _HEADER.unpack(header)
        if _masked_crc(header[:8]) != length_crc:
            raise self._corrupt(offset, "its length has a wrong checksum")
        start = offset + _HEADER.size
        end = start + length + _FOOTER.size
        if end > self._size:
            raise self._corrupt(offset, "it is truncated")
        body = self._bytes_at(start, length + _FOOTER.size, offset)
        payload, footer = body[:length], body[length:]
        if _masked_crc(payload) != _FOOTER.unpack(footer)[0]:
            raise self._corrupt(offset, "its checksum fails")
        return payload, end

    def _bytes_at(self, position: int, count: int, record: int) -> bytes:
        try:
            return self._bytes.read(count, position)
        except OSError as error:  # Of a failing disk, for example.
            reason = error.strerror or str(error)
            raise self._corrupt(record, reason) from error

    def _corrupt(self, offset: int, why: str) -> UserError:
        return UserError(
            f"The record at byte {offset} of {self.path} is corrupt: {why}; "
            "copy the file again or prepare the dataset with --overwrite."
        )


class RecordStore:
    """Any number of record files, addressed by file number and offset.

    The files that were used last stay open.
    """

    def __init__(self, paths: Sequence[Location]):
        self._paths = paths
        self._files: dict[int, RecordFile] = {}
        self._lock = threading.Lock()

    def read(self, file: int, offset: int) -> bytes:
        """Returns the payload of a record; raises as `RecordFile.read`."""
        with self._lock:
            used = self._files.pop(file, None) or RecordFile(self._paths[file])
            self._files[file] = used
            if len(self._files) > _MOST_OPEN:
                # Closed when no thread reads it any more.
                del self._files[next(iter(self._files))]
        return used.read(offset)


def _masked_crc(payload: bytes) -> int:
    crc = google_crc32c.value(payload)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
