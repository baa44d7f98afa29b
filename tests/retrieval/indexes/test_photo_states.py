"""The state of a photo file, with and without the hash of its content."""

import os

import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.indexes.photo_states import PhotoState, PhotoStates


def test_the_hash_follows_the_content(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, content in zip(paths, (b"one", b"one", b"two"), strict=True):
        path.write_bytes(content)
    digests = [PhotoState.of(path).hashed(path).digest for path in paths]
    assert digests[0] and digests[0] == digests[1] != digests[2]


def test_a_pipe_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    state = PhotoState.of(tmp_path / "pipe.jpg")
    assert state.hashed(tmp_path / "pipe.jpg") == state
    device = PhotoState.of("/dev/zero")
    assert device.hashed("/dev/zero") == device


def test_a_broken_link_has_a_state(tmp_path):
    link = tmp_path / "link.jpg"
    for target in ("nowhere.jpg", "link.jpg"):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
        state = PhotoState.of(link)
        assert state == (0, 0, "") == state.hashed(link)
    assert not state.is_like(PhotoState.of(tmp_path))


def test_damaged_states_are_one_sentence(tmp_path):
    states = PhotoStates(tmp_path, [])
    # Only the newline ends a line.
    states.record("a\u2028b.jpg", PhotoState(1, 2, "f"))
    files = states.save(tmp_path, list, 1)
    assert states.read() == {"a\u2028b.jpg": (1, 2, "f")}
    for content in ("1\tnoon\tf\ta.jpg\n", "1\t2\n"):
        (tmp_path / files[0]).write_text(content)
        with pytest.raises(UserError, match=r"states\.tsv is damaged; index"):
            states.read()


def test_states_of_removed_photos_leave_with_the_next_whole_file(tmp_path):
    states = PhotoStates(tmp_path, [])
    for number, name in enumerate("abc"):
        states.record(name, PhotoState(number, 0, "f"))
    names = ["b", "c"]
    assert states.save(tmp_path, lambda: names, 3)
    assert states.read().keys() == set("abc")
    (file,) = states.save(tmp_path, lambda: names, 2)
    assert PhotoStates(tmp_path, [file]).read() == {
        "b": (1, 0, "f"),
        "c": (2, 0, "f"),
    }


def test_states_are_added_without_reading_a_larger_file(tmp_path):
    states = PhotoStates(tmp_path, [])
    for number in range(9):
        states.record(f"{number}.jpg", PhotoState(number, 0, "f"))
    files = states.save(tmp_path, list, 9)
    (tmp_path / files[0]).unlink()
    (tmp_path / files[0]).mkdir()  # Has a size, but can't be read.
    states = PhotoStates(tmp_path, files, states.count)
    states.record("new.jpg", PhotoState(1, 0, "f"))
    assert len(states.save(tmp_path, list, 10)) == 2 and states.count == 10
