"""Photos and thumbnails of the index as JPEG files without EXIF data."""

import collections
import hashlib
import io
import os
import threading
from typing import NamedTuple

from agem_tf.errors import UserError
from agem_tf.photos.reading import opened, read_photo_file
from agem_tf.photos.upright_rgb import to_rgb
from agem_tf.serving.service_errors import not_found

_QUALITY = 88


class JpegFile(NamedTuple):
    """A photo as it is sent.

    Attributes:
        content: the bytes of the file.
        tag: changes with the content; for the ETag header.
    """

    content: bytes
    tag: str


class JpegCache:
    """Makes photos small, and remembers the last ones.

    Args:
        most_bytes: most bytes that are remembered.
    """

    def __init__(self, most_bytes: int = 64_000_000):
        self._most_bytes = most_bytes
        self._bytes = 0
        self._files: collections.OrderedDict[str, JpegFile] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def tag(self, path: str, side: int) -> str:
        """Returns the tag that a photo has without decoding it.

        Raises:
            ServiceError: the file is gone.
        """
        try:
            found = os.stat(path)
        except OSError as error:
            raise not_found("The file of this photo is gone.") from error
        key = path, found.st_ino, found.st_mtime_ns, found.st_size, side
        return hashlib.sha256(repr(key).encode()).hexdigest()[:32]

    def jpeg(self, path: str, side: int) -> JpegFile:
        """Returns a photo upright, with `side` pixels at most on a side.

        Raises:
            ServiceError: the file is gone, or can't be read.
        """
        tag = self.tag(path, side)
        with self._lock:
            if tag in self._files:
                self._files.move_to_end(tag)
                return self._files[tag]
        file = JpegFile(_encoded_jpeg(path, side), tag)
        with self._lock:
            if tag not in self._files:
                self._files[tag] = file
                self._bytes += len(file.content)
            while self._bytes > self._most_bytes:
                _, old = self._files.popitem(last=False)
                self._bytes -= len(old.content)
        return file


def _encoded_jpeg(path: str, side: int) -> bytes:
    try:
        with opened(read_photo_file(path), path, side=side) as photo:
            small = to_rgb(photo)
            small.thumbnail((side, side))
            buffer = io.BytesIO()
            # A new image has no EXIF data; `save` would copy `info`.
            small.info.clear()
            small.save(buffer, "JPEG", quality=_QUALITY)
            return buffer.getvalue()
    except UserError as error:
        raise not_found("The file of this photo can't be read.") from error
