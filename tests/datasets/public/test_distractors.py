"""Distractors are photos and nothing else."""

import pytest

from agem_tf.errors import UserError


def test_the_million_is_what_its_list_says(
    tmp_path, write_photo, prepare_public
):
    source, names = tmp_path / "source", ["0a/b.jpg", "1c/d.png", "1c/a.jpg"]
    for seed, name in enumerate(names):
        write_photo(source / "jpg" / name, seed)
    write_photo(source / "jpg" / "unlisted.jpg")
    (source / "revisitop1m.txt").write_text("\n".join(names) + "\n")
    prepared = prepare_public("revisitop1m")
    assert prepared.split("distractors").names == names
    assert prepared.database_names("distractors") == names
    with pytest.raises(UserError, match="has no queries"):
        prepared.ground_truth("distractors")
    (source / "jpg" / names[1]).unlink()
    with pytest.raises(UserError, match="1 photos are missing.*jpg/1c/d.png"):
        prepare_public("revisitop1m", "again")


def test_the_hundred_thousand_are_all_photos_below_the_source(
    tmp_path, write_photo, prepare_public
):
    for name in ("tag b/2.jpg", "tag a/1.jpg", "3.JPG"):
        write_photo(tmp_path / "source" / name)
    (tmp_path / "source" / "README.txt").write_text("about")
    prepared = prepare_public("oxford100k")
    names = ["3.JPG", "tag a/1.jpg", "tag b/2.jpg"]
    assert prepared.split("distractors").names == names
    assert "not the 100,071" in "\n".join(prepared.describe())
