"""Attention, matches and duplicates."""

import io
import weakref

import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from agem_tf.errors import UserError
from agem_tf.library.indexing import index_photos
from agem_tf.retrieval.indexes import storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.photo_details import AttentionMaps, PhotoMatcher
from agem_tf.serving.served_index import remembered
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


def test_a_model_without_attention_says_so(client):
    assert client.get("/library").json()["features"]["attention"] is False
    answer = client.post("/attention", data={"name": NAME})
    assert answer.status_code == 404
    assert "--workdir" in answer.json()["error"]


def test_the_attention_of_another_run_is_not_shown(run_directory):
    with pytest.raises(UserError, match="no attention"):
        AttentionMaps(str(run_directory), "0" * 12)


def test_the_attention_of_the_network_is_drawn_over_a_photo(
    album, attentive_run, tmp_path
):
    place = str(tmp_path / "index")
    index_photos(storage_at(place), str(album), workdir=str(attentive_run))
    service = Service(ServeOptions(index=place, workdir=str(attentive_run)))
    client = TestClient(create_application(service), "http://127.0.0.1")
    assert client.get("/library").json()["features"]["attention"] is True
    sent = {"photo": (album / OTHER).read_bytes()}
    drawn = [
        client.post("/attention", data={"name": NAME}),
        client.post("/attention", data={"name": OTHER}),
        client.post("/attention", files=sent),
    ]
    service.close()
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
