"""Which files of a folder are photos."""

import errno
import os
import pathlib

import pytest

from agem_tf.errors import UserError
from agem_tf.photos.listing import list_folder, list_landmarks


def touch(root: pathlib.Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_photos_of_any_depth_and_no_other_files(tmp_path):
    found = ["z.JPG", "a/b.png", "a/c/d.tiff", "b/a.webp"]
    aside = [".hidden.jpg", ".git/x.jpg", "@eaDir/x.jpg", "a/notes.txt", "jpg"]
    touch(tmp_path, *found, *aside)
    assert list_folder(str(tmp_path)) == [str(tmp_path / n) for n in found]


def test_links_to_folders_are_followed_once(tmp_path):
    touch(tmp_path, "disk/a.jpg", "disk/sub/b.jpg", "photos/c.jpg")
    photos = tmp_path / "photos"
    for name in ("album", "same_album"):
        (photos / name).symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "back").symlink_to(photos)
    (photos / "self").symlink_to(photos)
    (photos / "inside").symlink_to(photos / "z")
    touch(photos, "z/d.jpg")
    names = ["c.jpg", "z/d.jpg", "album/a.jpg", "album/sub/b.jpg"]
    assert list_folder(str(photos)) == [str(photos / n) for n in names]


def test_pipes_and_broken_links_are_listed_for_the_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "broken.jpg").symlink_to("gone.jpg")
    names = ["broken.jpg", "pipe.jpg"]
    assert list_folder(str(tmp_path)) == [str(tmp_path / n) for n in names]


def test_paths_are_absolute_wherever_the_command_runs(tmp_path, monkeypatch):
    touch(tmp_path, "photos/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert list_folder("photos") == [str(tmp_path / "photos" / "a.jpg")]


@pytest.fixture
def fail_scan(monkeypatch):
    """Returns a function that makes listing a folder of some name fail."""
    scan = os.scandir

    def fail(folder, number):
        def scan_others(path):
            if str(path).endswith(folder):
                raise OSError(number, os.strerror(number), path)
            return scan(path)

        monkeypatch.setattr(os, "scandir", scan_others)

    return fail


def test_a_subfolder_that_cannot_be_read_is_not_left_out(tmp_path, fail_scan):
    touch(tmp_path, "a.jpg", "closed/b.jpg")
    fail_scan("closed", errno.EACCES)
    with pytest.raises(PermissionError, match="closed"):
        list_folder(str(tmp_path))


def test_a_subfolder_that_vanishes_meanwhile_is_left_out(tmp_path, fail_scan):
    touch(tmp_path, "a.jpg", "gone/b.jpg")
    fail_scan("gone", errno.ENOENT)
    assert list_folder(str(tmp_path)) == [str(tmp_path / "a.jpg")]


def test_a_missing_or_empty_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="No folder at .*missing"):
        list_folder(str(tmp_path / "missing"))
    touch(tmp_path, "readme.md")
    with pytest.raises(UserError, match=r"holds no photo.*\.jpg"):
        list_folder(str(tmp_path))


def link_hard(path, target):
    path.hardlink_to(target)


def link_symbolically(path, target):
    path.symlink_to(target)


def link_folder(path, target):
    path.parent.rmdir()
    path.parent.symlink_to(target.parent)


@pytest.mark.parametrize("link", [link_hard, link_symbolically, link_folder])
def test_a_file_under_two_landmarks_is_refused(tmp_path, link):
    touch(tmp_path, "a/1.jpg", "a/2.jpg")
    (tmp_path / "b").mkdir()
    link(tmp_path / "b" / "1.jpg", tmp_path / "a" / "1.jpg")
    with pytest.raises(
        UserError,
        match=r"b/1\.jpg of the landmark 'b' is the file a/1\.jpg of the",
    ):
        list_landmarks(str(tmp_path))


@pytest.mark.parametrize("link", [link_hard, link_symbolically])
def test_a_list_that_puts_a_file_under_two_landmarks_is_refused(tmp_path, link):
    touch(tmp_path, "1.jpg")
    link(tmp_path / "2.jpg", tmp_path / "1.jpg")
    path = tmp_path / "list.csv"
    path.write_text("1.jpg,A\n2.jpg,B\n")
    with pytest.raises(
        UserError, match="2.jpg of the landmark 'B' is the file"
    ):
        list_landmarks(str(path))
    path.write_text("1.jpg,A\n2.jpg,A\n")
    _, photos = list_landmarks(str(path))
    assert [photo.name for photo in photos] == ["1.jpg", "2.jpg"]
