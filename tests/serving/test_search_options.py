"""Options of a search, each with all others."""

import itertools

import numpy as np
import pytest
from fastapi.testclient import TestClient

from agem_tf.retrieval.indexes import Origin, storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.service import Service
from agem_tf.serving.service_options import ServeOptions

PLACES, PHOTOS = 15, 6


@pytest.fixture(scope="module")
def places_client(tmp_path_factory):
    """A client of a service of descriptors, six of each of fifteen places."""
    rng = np.random.default_rng(0)
    spread = 0.35 * rng.standard_normal((PLACES, PHOTOS, 24))
    rows = rng.standard_normal((PLACES, 1, 24)) + spread
    rows /= np.linalg.norm(rows, axis=2, keepdims=True)
    names = [f"{place}/{n}.jpg" for place in range(PLACES) for n in range(6)]
    place = str(tmp_path_factory.mktemp("places") / "index")
    with storage_at(place).created() as draft:
        index = draft.start("exact", 24, Origin({}))
        index.add(names, rows.reshape(-1, 24).astype(np.float32))
    with storage_at(place).changed() as stored:
        for number, name in enumerate(names):
            stored.metadata.update(name, {"year": 2019 + number % 3})
    service = Service(ServeOptions(index=place))
    yield TestClient(create_application(service), "http://127.0.0.1")
    service.close()


@pytest.mark.parametrize("rerank", ["", "qe:5", "agem", "diffusion:5"])
@pytest.mark.parametrize("collapse", [False, True])
def test_options_hold_together(places_client, rerank, collapse):
    for where, least, name, unlike in itertools.product(
        ["", "year >= 2020"],
        [-1, 0.3],
        [["1/0.jpg"], ["1/0.jpg", "1/2.jpg"]],
        [[], ["7/3.jpg"]],
    ):
        wanted = {
            "rerank": rerank,
            "collapse": collapse,
            "where": where,
            "min_similarity": least,
            "name": name,
            "unlike": unlike,
        }
        whole = search(places_client, wanted, top=100)
        found = whole["results"]
        assert whole["total"] == len(found) > 0
        ranks = range(1, len(found) + 1)
        assert [result["rank"] for result in found] == list(ranks)
        shown = [each["name"] for each in found]
        copies = [copy for each in found for copy in each["copies"]]
        every = shown + copies
        assert len(set(every)) == len(every)
        assert not set(every) & {*name, *unlike}
        assert all(each["similarity"] >= least for each in found)
        if where:
            assert all(each["metadata"]["year"] >= 2020 for each in found)
        assert bool(copies) == collapse
        # Pages show the same, and go on until there are no more.
        pages = [
            search(places_client, wanted, top=size, offset=offset)
            for offset, size in ((0, 9), (9, 20), (0, len(found)))
        ]
        for page, part in zip(
            pages, (shown[:9], shown[9:29], shown), strict=True
        ):
            assert [each["name"] for each in page["results"]] == part
            assert page["total"] >= len(shown)


@pytest.fixture(scope="module")
def album_client(album_index):
    """A client of a service of photos, which has time to build a network."""
    service = Service(ServeOptions(index=album_index, timeout=600))
    yield TestClient(create_application(service), "http://127.0.0.1")
    service.close()


@pytest.mark.parametrize("rerank", ["", "qe:5", "verify"])
@pytest.mark.parametrize("sent", [0, 1, 2], ids="{} sent".format)
@pytest.mark.parametrize("named", [0, 1, 2], ids="{} named".format)
def test_what_can_not_be_searched_for_is_said(
    album_client, album, rerank, sent, named
):
    names = [f"place 1/{number} ä.jpg" for number in range(3)]
    files = [("photo", (album / name).read_bytes()) for name in names[:sent]]
    offered = album_client.get("/library").json()["features"]["rerank"]
    for box, where, unlike in itertools.product(
        ["", "0,0,40,30", "0,0,9999,9999"],
        ["", "colour = 1"],
        [[], names[2:]],
    ):
        data = {
            "name": names[:named],
            "unlike": unlike,
            "box": box,
            "where": where,
            "rerank": rerank,
        }
        answer = album_client.post("/search", data=data, files=files or None)
        is_single = sent + named == 1
        if (
            sent + named
            and rerank in ("", *offered)
            and not (rerank == "verify" and (unlike or not is_single))
            and (not box or (box == "0,0,40,30" and is_single))
            and where != "colour = 1"
        ):
            assert answer.status_code == 200, (data, answer.text)
            assert answer.json()["results"]
        else:
            assert answer.status_code == 400, (data, answer.text)
            assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("rerank", ["k_reciprocal", "superglobal", "verify"])
def test_other_re_rankings_are_refused(places_client, rerank):
    data = {"name": "1/0.jpg", "rerank": rerank}
    refused = places_client.post("/search", data=data)
    assert refused.status_code == 400
    assert "give one of qe:5, agem, diffusion:5." in refused.json()["error"]


def search(client, wanted, **fields):
    answer = client.post("/search", data={**wanted, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()
