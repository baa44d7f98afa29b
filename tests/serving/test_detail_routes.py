"""Attention, matches and duplicates."""

import io
import threading
import weakref

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from agem_tf.config import ImageConfig
from agem_tf.library.indexing import index_descriptors
from agem_tf.retrieval.indexes import storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.batched_model import BatchedModel
from agem_tf.serving.photo_details import PhotoMatcher, attention_png
from agem_tf.serving.served_index import ServedIndex, remembered
from agem_tf.serving.service import Service
from agem_tf.serving.service_options import ServeOptions

NAME, OTHER = "place 0/0 ä.jpg", "place 0/1 ä.jpg"


@pytest.fixture(scope="module")
def scene():
    """A photo with corners to match, 300 x 240, as PNG."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (12, 15, 3)).astype(np.uint8)
    photo = PIL.Image.fromarray(blocks).resize((300, 240), PIL.Image.NEAREST)
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


def test_an_index_without_a_model_has_no_attention(album_index, tmp_path):
    described, place = str(tmp_path / "descriptors"), str(tmp_path / "index")
    ServedIndex(album_index).state.descriptor_set().save(described)
    index_descriptors(storage_at(place), described)
    service = Service(ServeOptions(index=place))
    client = TestClient(create_application(service), "http://127.0.0.1")
    assert client.get("/library").json()["features"]["attention"] is False
    answer = client.post("/attention", data={"name": NAME})
    service.close()
    assert answer.status_code == 404
    assert "index the photos." in answer.json()["error"]


def test_a_model_of_an_earlier_version_has_no_attention(client, monkeypatch):
    monkeypatch.setattr(BatchedModel, "attention", None)
    answer = client.post("/attention", data={"name": NAME})
    assert answer.status_code == 404
    assert "earlier version" in answer.json()["error"]


def test_the_network_shows_where_it_looks(client, album):
    assert client.get("/library").json()["features"]["attention"] is True
    sent = {"photo": (album / OTHER).read_bytes()}
    drawn = [
        client.post("/attention", data={"name": NAME}),
        client.post("/attention", data={"name": OTHER}),
        client.post("/attention", files=sent),
    ]
    assert [answer.headers["content-type"] for answer in drawn] == [
        "image/png"
    ] * 3
    first, other, again = (answer.content for answer in drawn)
    assert first != other == again
    with PIL.Image.open(io.BytesIO(first)) as heat:
        assert heat.size == (90, 70)
        with PIL.Image.open(album / NAME) as photo:
            assert np.abs(np.subtract(heat, photo, dtype=float)).mean() > 5


@pytest.mark.skipif(
    not PhotoMatcher().is_installed, reason="The weights are not installed."
)
def test_matches_are_in_pixels_of_both_photos(own_client, own_folder, scene):
    (own_folder / "photos" / "scene.png").write_bytes(scene)
    own_client.post("/sync")
    with PIL.Image.open(io.BytesIO(scene)) as photo:
        buffer = io.BytesIO()
        photo.crop((40, 20, 260, 220)).save(buffer, "PNG")
    for box in ("", "20,10,210,190"):
        found = own_client.post(
            "/matches",
            data={"result": "scene.png", "box": box},
            files={"photo": buffer.getvalue()},
        ).json()
        assert found["inliers"] == len(found["query_points"]) >= 10
        assert found["query_size"] == [220, 200]
        assert found["result_size"] == [300, 240]
        moved = np.array(found["query_points"]) + [40, 20]
        assert np.abs(moved - found["result_points"]).max() < 4
        shift = np.array(found["transform"])[:2, 2]
        np.testing.assert_allclose(shift, [40, 20], atol=3)


@pytest.mark.skipif(
    not PhotoMatcher().is_installed, reason="The weights are not installed."
)
def test_results_are_ordered_by_matching_keypoints(
    own_client, own_folder, scene
):
    (own_folder / "photos" / "scene.png").write_bytes(scene)
    own_client.post("/sync")
    assert "verify" in own_client.get("/library").json()["features"]["rerank"]
    with PIL.Image.open(io.BytesIO(scene)) as photo:
        buffer = io.BytesIO()
        photo.crop((40, 20, 260, 220)).save(buffer, "PNG")
    sent = {"photo": buffer.getvalue()}
    plain = own_client.post("/search", files=sent).json()
    pages = [
        own_client.post(
            "/search",
            files=sent,
            data={"rerank": "verify", "top": 5, "offset": offset},
        ).json()
        for offset in (0, 5)
    ]
    found = [result for page in pages for result in page["results"]]
    assert [result["rank"] for result in found] == list(range(1, 11))
    assert found[0]["name"] == "scene.png"
    assert found[0]["inliers"] >= 10
    assert pages[0]["total"] == plain["total"] == 10
    similarities = {r["name"]: r["similarity"] for r in plain["results"]}
    assert similarities == pytest.approx(
        {result["name"]: result["similarity"] for result in found}
    )
    assert {result["inliers"] for result in plain["results"]} == {None}
    refused = own_client.post(
        "/search", files=sent, data={"rerank": "verify", "name": NAME}
    )
    assert refused.status_code == 400
    assert "one photo" in refused.json()["error"]


@pytest.mark.parametrize(
    "resize, enlarge, seen",
    [
        ("aspect", False, (32, 96)),
        ("aspect", True, (32, 128)),
        ("square", False, (128, 128)),
    ],
)
def test_the_network_looks_at_a_photo_of_its_size(resize, enlarge, seen):
    """Of 96 x 12 pixels, no side of which is to be below 32."""
    shapes = []

    def attention(images):
        shapes.append(images.shape)
        return {"maps": np.zeros((1, 2, 3), np.float32)}

    buffer = io.BytesIO()
    PIL.Image.new("RGB", (96, 12)).save(buffer, "PNG")
    image = ImageConfig(size=128, resize=resize, enlarge=enlarge)
    drawn = attention_png(buffer.getvalue(), attention, image)
    assert shapes == [(1, *seen, 3)]
    assert PIL.Image.open(io.BytesIO(drawn)).size == (96, 12)


def test_the_network_of_matches_is_built_before_the_first_request(
    album_index, monkeypatch
):
    built = threading.Event()
    monkeypatch.setattr(PhotoMatcher, "is_installed", True)
    monkeypatch.setattr(PhotoMatcher, "warm_up", lambda _: built.set())
    service = Service(ServeOptions(index=album_index))
    with TestClient(create_application(service), "http://127.0.0.1"):
        assert built.wait(60)


def test_matches_need_two_photos(client):
    for data, status in (
        ({"name": NAME}, 422),
        ({"result": NAME}, 400),
        ({"name": [NAME, OTHER], "result": NAME}, 400),
        ({"name": "nowhere", "result": NAME}, 404),
        ({"name": NAME, "result": "nowhere"}, 404),
        ({"name": NAME, "result": OTHER, "box": "0,0,999,9"}, 400),
    ):
        answer = client.post("/matches", data=data)
        assert answer.status_code == status, answer.text
        assert answer.json()["error"]


def test_duplicates_are_groups(client):
    found = client.get("/duplicates", params={"threshold": 0.99}).json()
    assert found["threshold"] == 0.99
    for group in found["groups"]:
        assert len(group) > 1
        assert group[0]["similarity"] == 1
    everything = client.get("/duplicates", params={"threshold": -1}).json()
    assert len(everything["groups"][0]) == 9
    assert client.get("/duplicates?threshold=nan").status_code == 422


def test_answers_are_remembered_as_long_as_the_index_is_served():
    class State:
        pass

    calls = []
    answer = remembered(lambda state, argument: calls.append(argument) or "a")
    state = State()
    assert [answer(state, 0.9), answer(state, 0.9), answer(state, 0.5)] == [
        "a"
    ] * 3
    assert calls == [0.9, 0.5]
    gone = weakref.ref(state)
    del state
    assert gone() is None
