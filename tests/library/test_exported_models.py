"""An exported model describes photos as the model in memory does."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

import agem_tf
from agem_tf import export
from agem_tf.errors import UserError
from agem_tf.extraction import photo_files
from agem_tf.files.atomic_writing import atomic_directory
from agem_tf.files.manifest import write_manifest
from agem_tf.library.indexing import index_photos
from agem_tf.library.photo_models import model_for_photos
from agem_tf.models import DELF
from agem_tf.models.presets import write_preset
from agem_tf.photos import decoding, encoding
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import load_exported
from agem_tf.training import runs

ROTATED = 6  # EXIF: the camera was held upright, turn the photo clockwise.


@pytest.fixture(scope="module")
def run(run_directory):
    return runs.open_run(run_directory, tf.distribute.get_strategy())


@pytest.fixture(scope="module")
def extractor(indexed):
    return load_exported(storage_at(indexed).open().model)


def grey_jpeg():
    buffer = io.BytesIO()
    PIL.Image.new("L", (40, 30), 99).save(buffer, "JPEG")
    return buffer.getvalue()


def described(extractor, path, box=None):
    encoded = encoding.read_encoded_photo(path).encoded
    return extractor.encoded([encoded], box and [box])[0]


def test_files_are_described_in_order(extractor, photos):
    paths = list_folder(str(photos))
    batches = list(extractor.files(paths))
    assert [path for names, _ in batches for path in names] == paths
    rows = np.concatenate([rows for _, rows in batches])
    assert rows.shape == (12, extractor.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-4)
    np.testing.assert_allclose(
        rows[5], described(extractor, paths[5]), atol=1e-5
    )


def test_many_files_come_in_bounded_batches(extractor, photos):
    paths = list_folder(str(photos)) * 9
    batches = list(extractor.files(paths))
    assert len(batches) > 2
    assert [path for names, _ in batches for path in names] == paths


def test_few_bytes_wait_for_the_network(extractor, photos, monkeypatch):
    paths = list_folder(str(photos)) * 3
    expected = np.concatenate([rows for _, rows in extractor.files(paths)])
    monkeypatch.setattr(photo_files, "_BATCH_BYTES", 10_000)
    batches = list(extractor.files(paths))
    assert len(batches) > 5
    assert [path for names, _ in batches for path in names] == paths
    rows = np.concatenate([rows for _, rows in batches])
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    # Threads that wait for room end with an extraction that is given up.
    unfinished = extractor.files(paths)
    next(unfinished)
    unfinished.close()


def test_a_photo_rotated_by_its_camera_has_one_descriptor(
    extractor, photos, tmp_path
):
    upright = PIL.Image.open(photos / "place0 0.png")
    upright.save(tmp_path / "upright.png")
    lying = upright.transpose(PIL.Image.Transpose.ROTATE_90)
    exif = PIL.Image.Exif()
    exif[0x0112] = ROTATED
    lying.save(tmp_path / "rotated.png", exif=exif)
    lying.save(tmp_path / "lying.png")
    first, second, third = (
        described(extractor, tmp_path / name)
        for name in ("upright.png", "rotated.png", "lying.png")
    )
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(first - third).max() > 1e-3


def test_a_box_is_described_as_in_training(extractor, run, photos):
    path, box = photos / "deep0" / "place1 1.jpg", (10, 5, 61, 44)
    encoded = tf.constant(encoding.read_encoded_photo(path).encoded)
    photo = decoding.photo_on_canvas(
        encoded, run.config.image, tf.constant(box, tf.float32)
    )
    height, width = photo["valid"]
    pixels = tf.cast(photo["image"][tf.newaxis, :height, :width], tf.float32)
    found = described(extractor, path, box)
    np.testing.assert_allclose(found, run.model(pixels)[0], atol=1e-5)
    whole = described(extractor, path)
    np.testing.assert_array_equal(whole, described(extractor, path, (0,) * 4))
    assert np.abs(whole - found).max() > 1e-3


def test_an_unreadable_photo_stops_or_is_skipped(extractor, photos, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xffbroken")
    (tmp_path / "empty.jpg").touch()
    good = list_folder(str(photos))[:2]
    paths = [good[0], str(tmp_path / "broken.jpg"), good[1]]
    with pytest.raises(UserError, match=r"broken\.jpg is not a readable"):
        list(extractor.files(paths))
    skipped = []
    paths.append(str(tmp_path / "empty.jpg"))
    ((names, rows),) = extractor.files(
        paths, lambda path, error: skipped.append((path, str(error)))
    )
    assert names == good
    assert len(rows) == 2
    assert [path for path, _ in skipped] == [paths[1], paths[3]]
    assert "has 0 bytes" in skipped[1][1]


def test_a_bad_photo_of_a_batch_does_not_disturb_the_others(indexed, photos):
    saved = tf.saved_model.load(str(storage_at(indexed).open().model))
    serve = saved.signatures["encoded_images"]
    good = (photos / "place0 1.jpg").read_bytes()
    batch = [b"text", good, good[:-400], b"\xff\xd8\xff"]
    served = serve(encoded_images=tf.constant(batch))
    assert served["status"].numpy().tolist() == [2, 0, 1, 1]
    alone = serve(encoded_images=tf.constant([good]))
    np.testing.assert_array_equal(
        served["descriptors"][1], alone["descriptors"][0]
    )
    assert not served["descriptors"].numpy()[[0, 2, 3]].any()
    empty = serve(encoded_images=tf.constant([], tf.string))
    assert empty["descriptors"].shape == (0, alone["descriptors"].shape[1])
    assert empty["status"].shape == (0,)


def test_a_session_gives_a_status_per_photo(indexed, photos):
    directory = str(storage_at(indexed).open().model)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        graph = tf.compat.v1.saved_model.load(session, ["serve"], directory)
        signature = graph.signature_def["encoded_images"]
        outputs = {key: out.name for key, out in signature.outputs.items()}
        served = session.run(
            outputs,
            {
                signature.inputs["encoded_images"].name: [
                    b"text",
                    (photos / "place0 1.jpg").read_bytes(),
                ]
            },
        )
    assert served["status"].tolist() == [2, 0]
    assert np.linalg.norm(served["descriptors"], axis=1).round(3).tolist() == [
        0,
        1,
    ]


def test_photos_that_the_network_refuses_are_named(extractor):
    with pytest.raises(UserError, match="photo 1 can't be used: UNSUPPORTED"):
        extractor.encoded([grey_jpeg(), b"text"])


def test_a_model_of_another_kind_is_refused(tmp_path):
    with atomic_directory(tmp_path / "model") as temporary:
        write_manifest(temporary, "descriptors")
    with pytest.raises(UserError, match="holds descriptors"):
        load_exported(tmp_path / "model")


def test_the_command_writes_a_version_or_a_preset(
    run_directory, run, photos, tmp_path
):
    options = {"workdir": str(run_directory), "output": str(tmp_path / "net")}
    for version in (1, 2, 2):
        path = export.main(export.ExportOptions(**options, version=version))
        assert path == tmp_path / "net" / str(version)
    visible = [path.name for path in (tmp_path / "net").iterdir()]
    assert sorted(name for name in visible if name[0] != ".") == ["1", "2"]
    assert "tensorflow" in (path / "README.md").read_text()
    (path / "README.md").write_text("A completed card.")
    described(load_exported(path), photos / "place0 1.jpg")

    options["output"] = str(tmp_path / "preset")
    path = export.main(export.ExportOptions(**options, preset=True))
    pixels = np.random.default_rng(0).uniform(0, 255, (1, 48, 64, 3))
    np.testing.assert_array_equal(agem_tf.load(path)(pixels), run.model(pixels))
    for wrong in ({"version": 1}, {"whitening": "w"}):
        with pytest.raises(UserError, match="preset holds the network alone"):
            export.main(export.ExportOptions(**options, preset=True, **wrong))
    options["output"] = str(photos)
    with pytest.raises(UserError, match="holds"):
        export.main(export.ExportOptions(**options, preset=True))


def test_a_preset_describes_the_photos_of_an_index(
    indexed, run, photos, tmp_path
):
    image, extraction = run.config.image, run.config.extraction
    preset = str(write_preset(run.model, tmp_path / "net", image, extraction))
    storage = storage_at(str(tmp_path / "index"))
    index_photos(storage, str(photos), preset=preset)
    expected = storage_at(indexed).open()
    found = storage.open()
    assert found.origin.provenance == expected.origin.provenance
    np.testing.assert_allclose(
        found.index.descriptors, expected.index.descriptors, atol=1e-6
    )
    larger = model_for_photos(preset=preset, image_size=80, scales=[1, 0.5])
    made = larger.provenance
    assert (made["image"]["size"], made["scales"]) == (80, (1, 0.5))
    with pytest.raises(UserError, match="There is no preset"):
        model_for_photos(preset="nothing")


def test_a_preset_of_local_features_makes_no_index(tmp_path):
    preset = str(write_preset(DELF(), tmp_path / "delf"))
    with pytest.raises(UserError, match="network of local features"):
        model_for_photos(preset=preset)
