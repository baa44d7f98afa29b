"""Each use of a recipe has the photos that it asks for."""

import tensorflow as tf

from agem_tf.config import Config, ImageConfig, UseConfig
from agem_tf.extraction.uses import UseExtractors
from agem_tf.models import AGeM
from agem_tf.photos.canvases import settings_of


def recipe():
    config = Config()
    config.image = ImageConfig(96, "aspect", buckets=((96, 64), (96, 96)))
    config.extraction.scales = (1.0, 0.5)
    config.extraction.mining = UseConfig(size=64)
    config.extraction.validation = UseConfig(buckets=((96, 96),))
    config.extraction.test = UseConfig(192, (1.0, 0.7))
    return config


def test_a_use_has_its_own_photos_and_what_it_leaves_is_that_of_training():
    found = {
        use: settings_of(recipe(), use)
        for use in ("mining", "validation", "test")
    }
    images = {use: image for use, (image, _) in found.items()}
    assert [images[use].size for use in images] == [64, 96, 192]
    assert images["mining"].buckets == ((64, 64), (64, 64))
    assert images["validation"].buckets == ((96, 96),)
    assert images["test"].buckets == ((192, 128), (192, 192))
    scales = {use: found[use][1].scales for use in found}
    assert scales["mining"] == scales["validation"] == (1.0, 0.5)
    assert scales["test"] == (1.0, 0.7)


def test_equal_settings_share_a_compiled_step():
    config = recipe()
    config.extraction.validation = UseConfig(64, [1.0, 0.5])
    model = AGeM("resnet18_torch", feature_map="C2", attention="none")
    extractors = UseExtractors(config, model, tf.distribute.get_strategy())
    mining = extractors.of_use("mining")
    assert extractors.of_use("validation") is mining
    assert extractors.of_use("test") is not mining
