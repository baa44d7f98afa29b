"""A manifest detects missing, truncated and altered files."""

import hashlib
import json
import os

import pytest

from agem_tf.errors import UserError
from agem_tf.files.manifest import (
    MANIFEST,
    check_replaceable,
    read_manifest,
    write_manifest,
)


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "text").write_text("content")
    write_manifest(tmp_path, "example", dataset="landmarks")
    return tmp_path


def test_the_manifest_describes_the_files(directory):
    manifest = read_manifest(directory, "example", verify=True)
    assert manifest["dataset"] == "landmarks"
    assert manifest["created_by"].startswith("agem_tf ")
    digest = hashlib.sha256(b"content").hexdigest()
    assert manifest["files"] == {"part/text": {"bytes": 7, "sha256": digest}}


def test_another_kind_is_refused(directory):
    with pytest.raises(UserError, match="holds example; .* of descriptors"):
        read_manifest(directory, "descriptors")


def test_a_truncated_file_is_named(directory):
    (directory / "part" / "text").write_text("cont")
    with pytest.raises(UserError, match="text has 4 bytes instead of 7"):
        read_manifest(directory, "example")


@pytest.mark.parametrize("text", ['{"name": "my page"}', "not JSON"])
def test_the_manifest_of_something_else_is_not_replaced(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(UserError, match="not of agem_tf; choose another dir"):
        check_replaceable(tmp_path)


def test_a_missing_file_is_named(directory):
    (directory / "part" / "text").unlink()
    with pytest.raises(UserError, match="text is missing"):
        read_manifest(directory, "example")


def test_only_verification_reads_files_with_checksums_of_their_own(directory):
    (directory / "part" / "text").write_text("CONTENT")
    read_manifest(directory, "example", unread=["part"])
    for options in ({}, {"unread": ["part"], "verify": True}):
        with pytest.raises(UserError, match="differs from its checksum"):
            read_manifest(directory, "example", **options)


def test_any_altered_entry_of_the_manifest_is_detected(directory):
    path = directory / "manifest.json"
    altered = path.read_text().replace("landmarks", "lendmarks")
    path.write_text(altered)
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        read_manifest(directory, "example")
    without = json.loads(altered)
    del without["checksum"]  # As earlier versions wrote.
    path.write_text(json.dumps(without))
    assert read_manifest(directory, "example")["dataset"] == "lendmarks"


def _listing(name, facts='{"bytes": 0, "sha256": ""}'):
    files = f'{{"{name}": {facts}}}'
    return f'{{"kind": "example", "format": 1, "files": {files}}}'


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"kind": "example"}',
        "[" * 100_000,
        '{"kind": "example", "format": 1, "files": []}',
        '{"kind": ["example"], "format": 1, "files": {}}',
        '{"kind": "example", "format": 1, "files": {}, "provenance": 7}',
        _listing("a", "7"),
        _listing("a", '{"bytes": "0", "sha256": ""}'),
        _listing("/dev/zero"),
        _listing("../a"),
        _listing("part/../../a"),
    ],
)
def test_a_damaged_manifest_is_refused(directory, text):
    (directory / "manifest.json").write_text(text)
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        read_manifest(directory, "example")


def test_a_newer_format_is_refused(directory):
    path = directory / "manifest.json"
    content = json.loads(path.read_text()) | {"format": 2, "checksum": None}
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match="format 2"):
        read_manifest(directory, "example")


def test_missing_directories_and_manifests_are_named(tmp_path):
    with pytest.raises(UserError, match="nowhere does not exist"):
        read_manifest(tmp_path / "nowhere", "example")
    with pytest.raises(UserError, match=r"has no manifest\.json"):
        read_manifest(tmp_path, "example")


def test_a_pipe_in_place_of_a_manifest_is_refused(directory):
    (directory / MANIFEST).unlink()
    os.mkfifo(directory / MANIFEST)
    with pytest.raises(UserError, match=r"manifest\.json is damaged"):
        read_manifest(directory, "example")


def test_a_pipe_in_place_of_a_file_is_refused(directory):
    (directory / "part" / "text").unlink()
    os.mkfifo(directory / "part" / "text")
    with pytest.raises(UserError, match="text is not a file"):
        read_manifest(directory, "example", verify=True)
