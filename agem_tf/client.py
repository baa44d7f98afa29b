"""A client of the service in Python.

    from agem_tf.client import ServiceClient

    with ServiceClient("http://127.0.0.1:8080") as service:
        found = service.search("photo.jpg", top=5)["results"]
    [(result["name"], result["similarity"]) for result in found]

Needs: pip install '.[client]'. TensorFlow and the service's packages are not
imported: pip install --no-deps . and pip install httpx suffice.
"""

from __future__ import annotations

import os
import pathlib
import urllib.parse
from collections.abc import Sequence
from typing import Any, Self

from agem_tf.errors import UserError

try:
    import httpx
except ModuleNotFoundError as error:
    raise UserError(
        "The client needs httpx: pip install '.[client]'"
    ) from error

# A photo file, or the bytes of one.
Photo = str | os.PathLike | bytes


class RefusedError(UserError):
    """The service refuses a request, and says why.

    Args:
        code: status of HTTP.
        sentence: what the service says.
    """

    def __init__(self, code: int, sentence: str):
        super().__init__(f"{sentence} (status {code})")
        self.code = code


class ServiceClient:
    """Sends requests to a service; one connection is used again.

    Answers are the JSON objects that docs/serving.md describes.

    Args:
        address: address of the service.
        token: its bearer token, if it has one.
        timeout: seconds to wait for an answer.

    Raises:
        UserError: the service does not answer; from every method.
        RefusedError: the service refuses the request; from every method.
    """

    def __init__(
        self, address: str, token: str | None = None, timeout: float = 60.0
    ):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(
            base_url=address, headers=headers, timeout=timeout
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def library(self) -> dict[str, Any]:
        """Describes the index."""
        return self._send("GET", "/library").json()

    def search(
        self,
        photos: Photo | Sequence[Photo] = (),
        names: Sequence[str] = (),
        unlike: Sequence[str] = (),
        box: Sequence[float] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Searches for photos like some.

        Args:
            photos: photo files that are sent, or their bytes.
            names: names of indexed photos.
            unlike: names of indexed photos that are not searched for.
            box: left, top, right and bottom in pixels of the photo.
            **fields: further fields of POST /search: top, offset, where,
                min_similarity, collapse, rerank.
        """
        form = {"name": list(names), "unlike": list(unlike), **fields}
        if box is not None:
            form["box"] = ",".join(map(str, box))
        answer = self._send("POST", "/search", data=form, files=_files(photos))
        return answer.json()

    def matches(self, photo: Photo, result: str) -> dict[str, Any]:
        """Matches a photo file with an indexed photo, point by point."""
        form = {"result": result}
        answer = self._send("POST", "/matches", data=form, files=_files(photo))
        return answer.json()

    def photos(
        self, offset: int = 0, limit: int = 60, where: str = ""
    ) -> dict[str, Any]:
        """Lists photos of the index."""
        fields = {"offset": offset, "limit": limit, "where": where}
        return self._send("GET", "/photos", params=fields).json()

    def photo(self, name: str) -> bytes:
        """Returns an indexed photo as a JPEG file."""
        return self._send("GET", _path(name)).content

    def add(self, photos: Photo | Sequence[Photo]) -> dict[str, Any]:
        """Adds photo files to the index."""
        return self._send("POST", "/photos", files=_files(photos)).json()

    def remove(self, name: str) -> dict[str, Any]:
        """Removes a photo from the index."""
        return self._send("DELETE", _path(name)).json()

    def sync(self) -> dict[str, Any]:
        """Makes the index hold what its folder holds now."""
        return self._send("POST", "/sync", timeout=None).json()

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **content)
        except httpx.HTTPError as error:
            raise UserError(
                f"The service at {self._client.base_url} does not answer "
                f"({error}); check its address."
            ) from error
        if answer.is_error:
            raise RefusedError(answer.status_code, _sentence(answer))
        return answer


def _files(photos: Photo | Sequence[Photo]) -> list[tuple[str, Any]]:
    if isinstance(photos, Photo):
        photos = [photos]
    return [("photo", _file(photo)) for photo in photos]


def _file(photo: Photo) -> tuple[str, bytes]:
    if isinstance(photo, bytes):
        return "photo", photo
    path = pathlib.Path(photo)
    try:
        return path.name, path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} can't be read ({error.strerror}); give another photo."
        ) from error


def _path(name: str) -> str:
    return f"/photos/{urllib.parse.quote(name, safe='')}"


def _sentence(answer: httpx.Response) -> str:
    try:
        return answer.json()["error"]
    except (ValueError, KeyError, TypeError):
        return "The service answers without a reason."
