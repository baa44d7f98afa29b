"""`agem_tf.extract` of a folder, divided among processes."""

import numpy as np
import PIL.Image
import pytest

from agem_tf import extract
from agem_tf.errors import UserError

PHOTOS = 18


@pytest.fixture
def extracted(tmp_path):
    """Returns a function that extracts the folder, or a shard of it."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(PHOTOS):
        rng = np.random.default_rng(number)
        pixels = rng.integers(0, 256, (6, 8, 3), np.uint8)
        photo = PIL.Image.fromarray(pixels).resize((96, 72))
        photo.save(folder / f"{number:02}.png")

    def run(output, shard=None, most=20):
        return extract.main(
            extract.ExtractLocalOptions(
                local="rootsift",
                photos=str(folder),
                output=str(tmp_path / output),
                max_features=most,
                shard=shard,
            )
        )

    return run


@pytest.mark.parametrize("finished", [["1/2", "2/2"], ["2/2"], ["1/2"]])
def test_shards_of_a_folder_join(extracted, tmp_path, finished):
    """A shard that is missing is extracted by the process that joins."""
    whole = extracted("whole")
    sizes = [len(extracted("joined", shard)) for shard in finished]
    assert sizes == [{"1/2": 16, "2/2": 2}[shard] for shard in finished]
    assert extracted("joined").names == whole.names
    for name in ("places.npy", "descriptors.npy", "photos.npy"):
        same = (tmp_path / "joined" / name).read_bytes()
        assert same == (tmp_path / "whole" / name).read_bytes()


def test_shards_of_other_settings_or_photos_are_refused(extracted, tmp_path):
    extracted("joined", "2/2")
    with pytest.raises(UserError, match="with other settings"):
        extracted("joined", most=10)
    (tmp_path / "photos" / "00.png").unlink()
    with pytest.raises(UserError, match="from other photos"):
        extracted("joined")
    for shard, message in (("3/2", "a number of how many"), ("2/9", "fewer")):
        with pytest.raises(UserError, match=message):
            extracted("joined", shard)


def test_photos_that_can_not_be_read_are_counted(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "bad.jpg").write_bytes(b"no photo")
    options = extract.ExtractLocalOptions(
        local="rootsift",
        photos=str(folder),
        output=str(tmp_path / "features"),
        skip_corrupt=True,
    )
    assert extract.main(options).names == ["bad.jpg"]
    assert "1 of them can't be read, first: " in capsys.readouterr().out
