"""Requests that change the index."""

import io
import re
import resource
import shutil
import signal
import subprocess
import sys

import httpx
import numpy as np
import PIL.Image
import pytest
from fastapi.testclient import TestClient

from agem_tf.files.changing_directories import exclusive_change
from agem_tf.library.indexing import index_photos
from agem_tf.library.synchronization import sync_photos
from agem_tf.retrieval.indexes import storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.service import Service
from agem_tf.serving.service_options import ServeOptions

# A service that is killed right before, or after, it replaces the manifest.
KILLED = """
import os, pathlib, signal, sys
from agem_tf import serve

place, moment = sys.argv[1:]
replace = os.replace

def replace_and_die(source, target, **options):
    commits = pathlib.Path(target) == pathlib.Path(place, "manifest.json")
    if commits and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target, **options)
    if commits:
        os.kill(os.getpid(), signal.SIGKILL)

os.replace = replace_and_die
serve.main(serve.ServeOptions(index=place, writable=True, port=0))
"""


def jpeg(color) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (80, 64), color).save(buffer, "JPEG")
    return buffer.getvalue()


def test_a_service_that_reads_refuses_changes(client):
    for method, path in (
        ("POST", "/photos"),
        ("DELETE", "/photos/place 0/0 ä.jpg"),
        ("POST", "/sync"),
    ):
        files = {"photo": jpeg("red")} if path == "/photos" else None
        answer = client.request(method, path, files=files)
        assert answer.status_code == 403
        assert "--writable" in answer.json()["error"]


def count(client) -> int:
    return client.get("/library").json()["photos"]


def test_add_find_and_remove_a_photo(own_client, own_folder):
    before = count(own_client)
    files = [
        ("photo", ("../../beach <b>.jpg", jpeg("red"))),
        ("photo", ("copy.jpg", jpeg("red"))),
        ("photo", ("bad.jpg", b"bad")),
    ]
    change = own_client.post("/photos", files=files).json()
    assert (change["added"], change["photos"]) == (2, before + 2)
    assert [each["photo"] for each in change["skipped"]] == ["bad.jpg"]
    name = change["names"][0]
    assert name.startswith("uploads/beach-b-") and name.endswith(".jpg")
    assert (own_folder / "photos" / name).read_bytes() == jpeg("red")
    again = own_client.post("/photos", files=files[:1]).json()
    assert (again["added"], again["photos"]) == (0, before + 2)

    found = own_client.post("/search", files={"photo": jpeg("red")}).json()
    first, second = found["results"][:2]
    assert {first["name"], second["name"]} == set(change["names"])
    assert own_client.get(first["thumbnail"]).status_code == 200

    for result in (first, second):
        removed = own_client.delete(result["photo"]).json()
        assert removed["removed"] == 1
        assert not (own_folder / "photos" / result["name"]).exists()
        assert own_client.delete(result["photo"]).status_code == 404
    assert count(own_client) == before
    assert len(storage_at(str(own_folder / "index")).open().index) == before


def test_a_full_disk_refuses_a_photo_and_changes_nothing(
    own_client, own_folder, caplog
):
    before = count(own_client)
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    buffer = io.BytesIO()
    PIL.Image.fromarray(noise).save(buffer, "PNG")
    sent = {"photo": buffer.getvalue()}
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        refused = own_client.post("/photos", files=sent)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.status_code == 507
    assert "disk" in refused.json()["error"]
    # The log has the path, which is not for clients.
    assert str(own_folder) not in refused.json()["error"]
    assert "Traceback" not in caplog.text
    assert count(own_client) == before
    added = own_client.post("/photos", files=sent).json()
    assert added["photos"] == before + 1
    own_client.delete(f"/photos/{added['names'][0]}")


def test_a_change_is_for_later_while_another_process_changes_the_index(
    own_client, own_folder
):
    with exclusive_change(own_folder / "index"):
        refused = own_client.delete("/photos/place 1/0 ä.jpg")
    assert refused.status_code == 503
    assert int(refused.headers["retry-after"]) > 0
    assert "another process" in refused.json()["error"].lower()
    assert str(own_folder) not in refused.json()["error"]


def test_the_index_follows_its_folder(own_client, own_folder):
    (own_folder / "photos" / "new.png").write_bytes(jpeg("blue"))
    (own_folder / "photos" / "place 0" / "0 ä.jpg").unlink()
    change = own_client.post("/sync").json()
    assert (change["added"], change["removed"]) == (1, 1)
    assert own_client.get("/photos/new.png").status_code == 200
    assert own_client.get("/photos/place 0/0 ä.jpg").status_code == 404


def test_a_change_by_another_process_is_seen(own_client, own_folder):
    before = count(own_client)
    with storage_at(str(own_folder / "index")).changed() as stored:
        stored.index.remove(["place 0/1 ä.jpg"])
    assert count(own_client) == before - 1


def test_an_index_in_milvus_changes_as_one_in_a_directory(
    album, run_directory, tmp_path
):
    pytest.importorskip("milvus_lite")
    folder = str(shutil.copytree(album, tmp_path / "photos"))
    place = f"milvus:{tmp_path}/photos.db"
    index_photos(storage_at(place), folder, workdir=str(run_directory))
    service = Service(ServeOptions(index=place, writable=True))
    client = TestClient(create_application(service), "http://127.0.0.1")
    before = client.get("/library").json()

    change = client.post("/photos", files={"photo": jpeg("red")}).json()
    (name,) = change["names"]
    found = client.post("/search", files={"photo": jpeg("red")}).json()
    assert found["results"][0]["name"] == name
    assert client.get(f"/photos/{name}").status_code == 200
    listed = client.get("/photos").json()
    assert listed["total"] == before["photos"] + 1
    assert name in {photo["name"] for photo in listed["photos"]}
    assert client.get("/library").json()["version"] != before["version"]

    assert client.delete(f"/photos/{name}").json()["removed"] == 1
    assert count(client) == before["photos"]
    assert client.delete(f"/photos/{name}").status_code == 404
    service.close()


@pytest.mark.parametrize(("moment", "photos"), [("before", 9), ("after", 10)])
def test_a_service_that_is_killed_leaves_the_old_index_or_the_new_one(
    album, album_index, tmp_path, moment, photos
):
    folder = shutil.copytree(album, tmp_path / "photos")
    place = str(shutil.copytree(album_index, tmp_path / "index"))
    storage = storage_at(place)
    sync_photos(storage, str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, place, moment],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        with pytest.raises(httpx.TransportError):
            sent = {"photo": jpeg("olive")}
            httpx.post(f"{address}/photos", files=sent, timeout=60)
        assert process.wait(60) == -signal.SIGKILL
    assert len(storage.open().index) == photos
    change = sync_photos(storage, str(folder))
    assert (change.added, change.total) == (10 - photos, 10)
