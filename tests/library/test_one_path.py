"""A photo has one descriptor, whichever way it takes to the network."""

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf

from agem_tf import evaluate
from agem_tf.datasets.preparation import prepare
from agem_tf.library.indexing import index_photos
from agem_tf.photos.decoding import photo_on_canvas
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import storage_at
from agem_tf.saved_models.retrieval_model import ExportableModel, load_exported
from agem_tf.training import runs


@pytest.fixture
def turned(photos, tmp_path):
    """Photos of two landmarks; the first is a JPEG that EXIF data turns."""
    root = tmp_path / "landmarks"
    for landmark in ("a", "b"):
        (root / landmark).mkdir(parents=True)
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    names = ["place0 0.png", "place0 1.jpg", "place0 2.jpg"]
    for name in names:
        with PIL.Image.open(photos / name) as photo:
            photo.save(root / "a" / "turned.jpg", exif=exif, quality=95)
            photo.save(root / "a" / "plain.png")
            photo.transpose(PIL.Image.Transpose.ROTATE_90).save(
                root / "b" / f"{name[:-4]}.webp", lossless=True
            )
    return root


def test_all_paths_give_one_descriptor(turned, run_directory, tmp_path):
    run = runs.open_run(run_directory, tf.distribute.get_strategy())
    image, extraction = run.config.image, run.config.extraction
    paths = list_folder(str(turned))
    names = [path.removeprefix(f"{turned}/") for path in paths]

    # A record of a prepared dataset, through the extractor of training.
    dataset = prepare(
        "photo_folder",
        tmp_path / "data",
        {"source": str(turned), "test": 0.0, "validation": 0.0},
    )
    split = dataset.split("train")
    extractor = run.extractor(tf.distribute.get_strategy())
    expected = extractor.extract(split, split.find(names))
    assert np.abs(expected[0] - expected[1]).max() > 1e-3

    # Files, through the network in memory, into an index.
    place = str(tmp_path / "index")
    index_photos(storage_at(place), str(turned), workdir=str(run_directory))
    stored = storage_at(place).open()
    assert stored.index.names() == names
    rows = stored.index.descriptors
    np.testing.assert_allclose(rows, expected, atol=1e-6)

    # A query, through the exported network.
    exported = load_exported(stored.model)
    ((found, rows),) = exported.files(paths)
    assert found == paths
    np.testing.assert_allclose(rows, expected, atol=1e-6)

    # Bytes, through each signature of an export on its own.
    model = ExportableModel(run.model, image, extraction)
    signatures = tf.saved_model.load(
        str(model.save(tmp_path / "saved"))
    ).signatures
    encoded = tf.constant([split_image(split, name) for name in names])
    served = signatures["encoded_images"](encoded_images=encoded)
    np.testing.assert_allclose(served["descriptors"], expected, atol=1e-6)
    assert not served["status"].numpy().any()

    # The files themselves, which the graph turns upright, and a box in one.
    kept = [i for i, name in enumerate(names) if not name.endswith("webp")]
    files = [(turned / names[i]).read_bytes() for i in kept]
    raw = signatures["encoded_images"](encoded_images=tf.constant(files))
    np.testing.assert_allclose(raw["descriptors"], expected[kept], atol=1e-6)
    box = (5.0, 10.0, 50.0, 70.0)
    (query,) = [i for i, name in enumerate(names) if name == "a/turned.jpg"]
    cropped = signatures["encoded_crops"](
        encoded_images=tf.constant([(turned / names[query]).read_bytes()]),
        boxes=tf.constant([box]),
    )
    upright = exported.encoded([encoded[query].numpy()], [box])
    np.testing.assert_allclose(cropped["descriptors"], upright, atol=1e-6)

    for photo, row in zip(encoded, expected, strict=True):
        canvas = photo_on_canvas(photo, image)
        height, width = canvas["valid"]
        pixels = tf.cast(canvas["image"][:height, :width], tf.float32)
        served = signatures["serving_default"](images=pixels[tf.newaxis])
        np.testing.assert_allclose(served["descriptors"][0], row, atol=1e-6)


def split_image(split, name):
    (index,) = split.find([name])
    example = tf.train.Example.FromString(split.read(index))
    return example.features.feature["image"].bytes_list.value[0]


def test_an_index_without_descriptors_is_scored_by_its_photos(
    photos, run_directory, tmp_path
):
    """FAISS keeps no descriptors, so that queries are read again."""
    pytest.importorskip("faiss")
    names = [
        path.removeprefix(f"{photos}/") for path in list_folder(str(photos))
    ]
    truth = tmp_path / "truth.csv"
    rows = [f"{name},{name.split()[0]}" for name in names]
    truth.write_text("\n".join(["path,landmark", *rows]))
    scores = []
    for factory in ("exact", "Flat"):
        place = str(tmp_path / factory)
        index_photos(
            storage_at(place),
            str(photos),
            factory=factory,
            workdir=str(run_directory),
        )
        options = evaluate.IndexEvaluateOptions(
            index=place, ground_truth=str(truth), output=str(tmp_path / "out")
        )
        evaluation = evaluate.main(options)
        scores.append(evaluation.scores.parts()["all"].metrics)
        page = (tmp_path / "out" / "report.html").read_text()
        assert "data:image/jpeg" in page
    assert scores[0] == pytest.approx(scores[1])
