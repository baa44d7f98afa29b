"""The client in Python, with a running server."""

import pytest

from agem_tf.client import RefusedError, ServiceClient
from agem_tf.errors import UserError

NAME = "place 1/2 ä.jpg"


def test_the_client_searches(address, album):
    with ServiceClient(address) as service:
        assert service.library()["photos"] == 9
        path = album / NAME
        for photos in (path, [path], path.read_bytes()):
            found = service.search(photos, top=2, where="year >= 2001")
            names = [result["name"] for result in found["results"]]
            assert names == [NAME, "place 1/1 ä.jpg"]
        part = service.search(names=[NAME], box=(0, 0, 40, 30), top=1)
        assert part["query"]["box"] == [0, 0, 40, 30]
        listed = service.photos(limit=2, offset=1)
        assert len(listed["photos"]) == 2
        assert service.photo(NAME).startswith(b"\xff\xd8")


def test_refusals_are_sentences(address, tmp_path):
    with ServiceClient(address) as service:
        for call in (
            lambda: service.search(b"no photo"),
            lambda: service.photo("nowhere"),
            lambda: service.add(b"photo"),
            lambda: service.remove(NAME),
            service.sync,
        ):
            with pytest.raises(RefusedError) as caught:
                call()
            assert caught.value.code in (403, 404, 422)
        with pytest.raises(UserError, match="missing.jpg"):
            service.search(tmp_path / "missing.jpg")
    with pytest.raises(UserError, match="check its address"):
        ServiceClient("http://127.0.0.1:9").library()
