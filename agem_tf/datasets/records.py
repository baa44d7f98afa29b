"""TFRecord files with random access.

Mining decides in which order photos are drawn, so records are read by offset
instead of streamed. Each read checks the CRC of the record, because a flipped
bit would otherwise be a subtly wrong photo.

Framing, from TensorFlow's record format: uint64 length, uint32 masked CRC of
the length, the payload, uint32 masked CRC of the payload, little endian.
"""

import os
import pathlib
import struct
import threading
import weakref
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

from agem_tf.errors import UserError

_LENGTH = struct.Struct("<Q")
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8


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


class RecordFile:
    """One TFRecord file, read by offset from any number of threads."""

    def __init__(self, path: str | pathlib.Path):
        """Opens the file.

        Raises:
            UserError: The file can't be opened.
        """
        self.path = pathlib.Path(path)
        try:
            self._descriptor = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise UserError(
                f"{path} can't be read ({error.strerror}); prepare the "
                "dataset again."
            ) from error
        self._size = os.fstat(self._descriptor).st_size
        # Datasets come and go in a process that may have 1024 open files. At
        # exit, threads of tf.data may still read.
        self._close = weakref.finalize(self, os.close, self._descriptor)
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
        header = os.pread(self._descriptor, _HEADER.size, offset)
        if len(header) < _HEADER.size:
            raise self._corrupt(offset, "it is truncated")
        length, length_crc = _HEADER.unpack(header)
        if _masked_crc(header[:8]) != length_crc:
            raise self._corrupt(offset, "its length has a wrong checksum")
        start = offset + _HEADER.size
        end = start + length + _FOOTER.size
        if end > self._size:
            raise self._corrupt(offset, "it is truncated")
        body = os.pread(self._descriptor, length + _FOOTER.size, start)
        payload, footer = body[:length], body[length:]
        if _masked_crc(payload) != _FOOTER.unpack(footer)[0]:
            raise self._corrupt(offset, "its checksum fails")
        return payload, end

    def _corrupt(self, offset: int, why: str) -> UserError:
        return UserError(
            f"The record at byte {offset} of {self.path} is corrupt: {why}; "
            "copy the file again or prepare the dataset with --overwrite."
        )


class RecordStore:
    """Several record files, addressed by file number and offset.

    Files are opened on first use and stay open.
    """

    def __init__(self, paths: list[pathlib.Path]):
        self._paths = paths
        self._files: dict[int, RecordFile] = {}
        self._lock = threading.Lock()

    def read(self, file: int, offset: int) -> bytes:
        """Returns the payload of a record; raises as `RecordFile.read`."""
        with self._lock:
            if file not in self._files:
                self._files[file] = RecordFile(self._paths[file])
        return self._files[file].read(offset)


def _masked_crc(payload: bytes) -> int:
    crc = google_crc32c.value(payload)
    return ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF
