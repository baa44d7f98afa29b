"""What the page of the service asks for."""

import io

import numpy as np
import PIL.Image
import pytest

from agem_tf.retrieval.indexes import ExactIndex

NAME = "place 1/2 ä.jpg"


def search(client, **fields):
    files = fields.pop("files", None)
    answer = client.post("/search", data=fields, files=files)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_library_is_described(client):
    found = client.get("/library").json()
    assert found["photos"] == 9
    assert found["writable"] is False
    assert found["features"]["metadata"] == ["place", "year"]


def test_a_photo_that_is_sent_finds_its_place(client, album):
    content = (album / NAME).read_bytes()
    found = search(client, files=[("photo", content)], top=3)
    assert found["query"] == {"width": 90, "height": 70, "box": None}
    names = [result["name"] for result in found["results"]]
    assert names[0] == NAME
    assert {name.split("/")[0] for name in names} == {"place 1"}
    assert found["results"][0]["similarity"] == pytest.approx(1, abs=1e-4)
    assert [result["rank"] for result in found["results"]] == [1, 2, 3]


def test_pages_of_results_continue(client):
    whole = search(client, name=NAME, top=8)["results"]
    parts = [
        search(client, name=NAME, top=3, offset=start)["results"]
        for start in (0, 3, 6)
    ]
    assert sum(parts, []) == whole
    assert len(whole) == 8  # Without the example itself.


def test_more_and_less_like_some(client):
    found = search(client, name=[NAME, "place 1/0 ä.jpg"], top=1)
    assert found["results"][0]["name"] == "place 1/1 ä.jpg"
    away = search(client, name=NAME, unlike="place 1/1 ä.jpg", top=9)
    shown = {result["name"] for result in away["results"]}
    assert len(shown) == away["total"] == found["total"] == 7
    assert not shown & {NAME, "place 1/1 ä.jpg"}


def test_copies_of_a_shot_are_one_result(client):
    assert client.get("/library").json()["features"]["collapse"] is True
    whole = search(client, name="place 0/0 ä.jpg", collapse="false")
    found = search(client, name="place 0/0 ä.jpg", collapse="true")
    assert all(result["copies"] == [] for result in whole["results"])
    shown = {result["name"] for result in found["results"]}
    copies = {c for result in found["results"] for c in result["copies"]}
    assert len(shown) < len(whole["results"])
    assert not shown & copies
    assert found["total"] == len(shown)


def test_results_are_re_ranked_by_expansion_of_the_query(client, service):
    offered = client.get("/library").json()["features"]["rerank"]
    assert "qe:5" in offered and "agem" not in offered
    found = search(client, name=NAME, rerank="qe:5")["results"]
    photos = service.index.state.photos
    expected = photos.search(NAME, top=9, rerank=["qe:5"])
    assert [result["name"] for result in found] == [
        match.name for match in expected if match.name != NAME
    ]
    # A limit leaves out photos wherever they are in the ranking.
    limit = found[3]["similarity"]
    part = search(client, name=NAME, rerank="qe:5", min_similarity=limit, top=3)
    passing = [each for each in found if each["similarity"] >= limit]
    assert part["results"] == [
        {**each, "rank": rank} for rank, each in enumerate(passing[:3], 1)
    ]


def test_no_request_reads_all_descriptors_without_need(client, monkeypatch):
    def read(index):
        raise AssertionError("they are read, which may copy them")

    monkeypatch.setattr(ExactIndex, "descriptors", property(read))
    assert client.get("/library").json()["features"]["collapse"] is True
    assert search(client, name=NAME)["results"]


def test_the_map_shows_all_photos(client):
    assert client.get("/library").json()["features"]["map"] is True
    points = client.get("/map").json()["points"]
    assert len({point["name"] for point in points}) == 9
    places = np.array([[point["x"], point["y"]] for point in points])
    assert places.min() >= 0 and places.max() <= 1
    # Photos of one place are together.
    groups = np.array([point["metadata"]["place"] for point in points])
    distances = np.linalg.norm(places[:, np.newaxis] - places, axis=2)
    same = groups[:, np.newaxis] == groups
    assert distances[same].max() < distances[~same].min()


def test_a_box_changes_the_answer_and_is_checked(client, album):
    files = [("photo", (album / NAME).read_bytes())]
    whole = search(client, files=files)
    part = search(client, files=files, box="0,0,40,35")
    assert part["query"]["box"] == [0, 0, 40, 35]
    assert part["results"][0]["similarity"] != pytest.approx(
        whole["results"][0]["similarity"], abs=1e-4
    )
    indexed = search(client, name=NAME, box="0,0,40,35")
    assert indexed["query"]["width"] == 90
    for box in ("0,0,400,35", "1,2,3", "nan,0,1,1", "x"):
        answer = client.post("/search", data={"name": NAME, "box": box})
        assert answer.status_code == 400
        assert "box" in answer.json()["error"]


def test_the_size_of_a_large_indexed_photo_is_that_of_its_file(
    own_client, own_folder
):
    name = "large.jpg"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = PIL.Image.new("RGB", (2100, 60), "navy")
    photo.save(own_folder / "photos" / name, exif=exif)
    assert own_client.post("/sync").status_code == 200
    found = search(own_client, name=name)["query"]
    assert (found["width"], found["height"]) == (60, 2100)
    shown = own_client.get(f"/photos/{name}").content
    with PIL.Image.open(io.BytesIO(shown)) as decoded:
        assert max(decoded.size) == 2048
    part = search(own_client, name=name, box="0,2060,60,2100")["query"]
    assert part["box"] == [0, 2060, 60, 2100]
    (own_folder / "photos" / name).unlink()
    assert search(own_client, name=name)["query"]["width"] is None
    assert own_client.post("/sync").status_code == 200


def test_only_what_the_model_refuses_is_converted(client, album):
    content = (album / NAME).read_bytes()
    with PIL.Image.open(album / NAME) as photo:
        buffer = io.BytesIO()
        photo.save(buffer, "WEBP", lossless=True)
    found = search(client, files=[("photo", buffer.getvalue())], top=1)
    assert found["results"][0]["name"] == NAME
    # Its header is that of a photo, and nothing else is.
    answer = client.post("/search", files=[("photo", content[:-900])])
    assert answer.status_code == 422
    assert "not a readable photo" in answer.json()["error"]


@pytest.mark.parametrize(
    ("data", "files", "status", "word"),
    [
        ({}, None, 400, "photo"),
        ({"name": "nowhere.jpg"}, None, 404, "nowhere"),
        ({"name": "../../etc/passwd"}, None, 404, "passwd"),
        ({}, [("photo", b"no photo")], 422, "none of JPEG"),
        # As curl sends it without "@".
        ({"photo": "photo.jpg"}, None, 422, "photo=@photo.jpg"),
        ({"name": NAME, "top": "0"}, None, 422, "top"),
        ({"name": NAME, "where": "colour=1"}, None, 400, "colour"),
        ({"name": NAME, "where": "year = ("}, None, 400, "filter"),
        ({"name": NAME, "rerank": "agem"}, None, 400, "qe:5"),
    ],
)
def test_refused_searches(client, data, files, status, word):
    answer = client.post("/search", data=data, files=files)
    assert answer.status_code == status
    assert word in answer.json()["error"]


def test_photos_are_listed_and_sent_without_metadata(client, album):
    listed = client.get("/photos", params={"limit": 2, "offset": 1}).json()
    assert listed["total"] == 9
    assert len(listed["photos"]) == 2
    thumbnail = client.get(listed["photos"][0]["thumbnail"])
    assert thumbnail.headers["content-type"] == "image/jpeg"
    photo = client.get(listed["photos"][0]["photo"])
    with PIL.Image.open(io.BytesIO(photo.content)) as decoded:
        assert decoded.size == (90, 70)
        assert not decoded.getexif()
    again = client.get(
        listed["photos"][0]["thumbnail"],
        headers={"If-None-Match": thumbnail.headers["etag"]},
    )
    assert (again.status_code, again.content) == (304, b"")
    assert client.get("/photos/nowhere.jpg").status_code == 404


def test_metadata_filters_searches_and_lists(client):
    found = search(client, name=NAME, where="place = 1 or year < 2001")
    assert found["total"] == len(found["results"]) == 4
    first = found["results"][0]
    assert first["metadata"] == {
        "place": 1,
        "year": int(first["name"][8]) + 2000,
    }
    listed = client.get("/photos", params={"where": "year = 2002"}).json()
    assert listed["total"] == 3
    assert {p["metadata"]["place"] for p in listed["photos"]} == {0, 1, 2}
    none = search(client, name=NAME, where="place = 7")
    assert (none["total"], none["results"]) == (0, [])


def test_a_turned_photo_is_upright(client, album, tmp_path):
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    with PIL.Image.open(album / NAME) as photo:
        photo.rotate(90, expand=True).save(buffer, "JPEG", exif=exif)
    found = search(client, files=[("photo", buffer.getvalue())], top=1)
    assert found["query"]["width"] == 90
    assert found["results"][0]["name"] == NAME
    assert np.isclose(found["results"][0]["similarity"], 1, atol=0.02)
