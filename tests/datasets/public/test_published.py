"""Photos that a download lacks are found before any is read."""

import errno

import pytest
from etils import epath

from agem_tf.datasets.public.published import find_missing
from agem_tf.errors import UserError


def test_missing_files_are_found(tmp_path):
    (tmp_path / "folder").mkdir()
    here = tmp_path / "folder" / "a.jpg"
    here.write_bytes(b"")
    gone = [str(tmp_path / "folder" / "b.jpg"), str(tmp_path / "none/a.jpg")]
    assert find_missing([str(here), *gone]) == set(gone)


def test_a_folder_that_must_not_be_read_is_named(monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "secret", str(path))

    # Root may read every folder, so a folder of the test would not do.
    monkeypatch.setattr(epath.Path("/tmp").__class__, "iterdir", refuse)
    with pytest.raises(UserError, match="tmp cannot be listed .*secret"):
        find_missing(["/tmp/a.jpg"])
