"""A service of a few photos, and a client that sends it requests."""

import dataclasses
import pathlib
import shutil
import threading
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from agem_tf.config import named_network
from agem_tf.library.indexing import index_photos
from agem_tf.library.synchronization import sync_photos
from agem_tf.retrieval.indexes import storage_at
from agem_tf.serving.application import create_application
from agem_tf.serving.http_server import (
    address_of,
    create_server,
    listening_socket,
)
from agem_tf.serving.service import Service
from agem_tf.serving.service_options import ServeOptions

PLACES, PHOTOS = 3, 3


@pytest.fixture(scope="session")
def album(tmp_path_factory, place_photos) -> pathlib.Path:
    """Nine photos of three places."""
    root = tmp_path_factory.mktemp("album") / "photos"
    for place, number, photo in place_photos(PLACES, PHOTOS):
        path = root / f"place {place}" / f"{number} ä.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo.save(path, quality=95)
    return root


@pytest.fixture(scope="session")
def album_index(album, run_directory, tmp_path_factory) -> str:
    """Place of an exact index of the photos."""
    place = str(tmp_path_factory.mktemp("indexed") / "index")
    index_photos(storage_at(place), str(album), workdir=str(run_directory))
    with storage_at(place).changed() as stored:
        for number in range(PLACES * PHOTOS):
            of_place, photo = divmod(number, PHOTOS)
            stored.metadata.update(
                f"place {of_place}/{photo} ä.jpg",
                {"place": of_place, "year": 2000 + photo},
            )
    return place


@pytest.fixture(scope="session")
def attentive_run(written_run) -> pathlib.Path:
    """Workdir of a run with ImageNet's weights and new attention."""
    network = named_network("cbam_gem_efficientnet_lite0")
    return written_run(**dataclasses.asdict(network))


@pytest.fixture(scope="session")
def service(album_index) -> Service:
    return Service(ServeOptions(index=album_index, max_body=200_000))


@pytest.fixture(scope="session")
def client(service) -> TestClient:
    return TestClient(create_application(service), "http://127.0.0.1")


@pytest.fixture(scope="session")
def own_folder(album, album_index, tmp_path_factory) -> pathlib.Path:
    """A folder with copies of `photos` and `index`, which tests may change."""
    folder = tmp_path_factory.mktemp("own")
    shutil.copytree(album, folder / "photos")
    place = shutil.copytree(album_index, folder / "index")
    sync_photos(storage_at(str(place)), str(folder / "photos"))
    return folder


@pytest.fixture(scope="session")
def own_client(own_folder) -> Iterator[TestClient]:
    """A client of a writable service of `own_folder`."""
    place = str(own_folder / "index")
    # The first matches build a network, which takes long on a busy machine.
    options = ServeOptions(index=place, writable=True, timeout=600)
    service = Service(options)
    yield TestClient(create_application(service), "http://127.0.0.1")
    service.close()


@pytest.fixture(scope="session")
def address(service) -> Iterator[str]:
    """Address of a running server of the service."""
    server = create_server(service)
    with listening_socket("127.0.0.1", 0) as listener:
        thread = threading.Thread(target=server.run, args=[[listener]])
        thread.start()
        yield address_of(listener)
        server.should_exit = True
        thread.join()
