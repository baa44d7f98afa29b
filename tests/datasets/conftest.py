"""A bucket in the cloud, kept in a folder."""

import os

import pytest
from etils import epath


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    """Keeps files of gs:// in a folder, which is returned."""
    folder = tmp_path / "cloud"
    folder.mkdir()

    def local(value):
        text = os.fspath(value) if isinstance(value, os.PathLike) else value
        if isinstance(text, str) and text.startswith("gs://"):
            return str(folder / text.removeprefix("gs://"))
        return value

    def translated(function, *paths, **options):
        return function(*map(local, paths), **options)

    names = (
        "copy exists isdir listdir makedirs mkdir open remove replace rmtree "
        "stat walk"
    ).split()
    # Otherwise etils asks TensorFlow, which asks the cloud.
    monkeypatch.setattr("etils.epath.gpath._is_tf_installed", lambda: False)
    with epath.testing.mock_epath(**dict.fromkeys(names, translated)):
        yield folder
