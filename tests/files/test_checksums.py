"""Large files are read again only after a write, or when asked to."""

import hashlib
import os

import pytest

from agem_tf.files import checksums

CONTENT = b"content"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def reads(monkeypatch, tmp_path):
    """Counts the files that are read; all count as large and old."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(checksums, "_LEAST_BYTES", 0)
    monkeypatch.setattr(checksums, "_LEAST_AGE", -1)
    paths = []
    read = checksums.sha256_of

    def counting(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(checksums, "sha256_of", counting)
    return paths


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    return tmp_path / "file"


def test_an_unchanged_file_is_read_once(path, reads):
    assert all(checksums.has_checksum(path, SHA256) for _ in range(3))
    assert len(reads) == 1
    assert checksums.has_checksum(path, SHA256, afresh=True)
    assert len(reads) == 2


def test_another_checksum_is_not_remembered(path, reads):
    assert checksums.has_checksum(path, SHA256)
    assert not checksums.has_checksum(path, "0" * 64)


def test_a_write_is_noticed_even_if_the_time_is_set_back(path, reads):
    assert checksums.has_checksum(path, SHA256)
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(CONTENT.upper())
    os.utime(path, ns=times)
    assert not checksums.has_checksum(path, SHA256)


def test_a_file_that_was_just_written_is_not_remembered(
    path, reads, monkeypatch
):
    monkeypatch.setattr(checksums, "_LEAST_AGE", 3600)
    assert all(checksums.has_checksum(path, SHA256) for _ in range(2))
    assert len(reads) == 2


def test_marks_expire(path, reads, tmp_path):
    assert checksums.has_checksum(path, SHA256)
    (mark,) = (tmp_path / "cache" / "agem_tf" / "verified").iterdir()
    os.utime(mark, (0, 0))
    assert checksums.has_checksum(path, SHA256)
    assert len(reads) == 2


def test_a_cache_that_cannot_be_written_is_left_out(path, reads, tmp_path):
    (tmp_path / "cache").write_text("a file")
    assert all(checksums.has_checksum(path, SHA256) for _ in range(2))
    assert len(reads) == 2
