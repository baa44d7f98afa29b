"""Whitening is learned from descriptors of the dataset that is given."""

import numpy as np
import pytest

from agem_tf import whiten
from agem_tf.datasets.preparation import prepare
from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.descriptors.linear_whitening import LinearWhitening
from agem_tf.errors import UserError


@pytest.fixture
def dataset(photo_folder, tmp_path):
    source = {"source": str(photo_folder), "validation": 0.0, "test": 0.0}
    return prepare("photo_folder", tmp_path / "data", source)


def test_descriptors_of_another_dataset_are_refused(dataset, tmp_path):
    names = dataset.split("train").names
    rows = np.random.default_rng(0).normal(size=(len(names), 5))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)

    def learn(made_of, **lost):
        provenance = {"dataset": made_of, "split": "train", **lost}
        directory = str(tmp_path / f"descriptors of {made_of}")
        DescriptorSet(names, rows, provenance).save(directory)
        return whiten.main(
            whiten.WhitenOptions(
                descriptors=directory,
                split="train",
                data_dir=str(dataset.directory),
                shrinkage=0.9,
                output=str(tmp_path / "whitening"),
            )
        )

    assert learn(dataset.fingerprint).projection.shape == (5, 5)
    with pytest.raises(UserError, match="extracted from another dataset"):
        learn("0123456789ab")
    # `Split.without` gives photos that remain a fingerprint of their own.
    learn("0123456789ab", lost=["damaged.jpg"])


def test_a_whitening_is_learned_in_a_bucket(object_store):
    rows = np.random.default_rng(0).normal(size=(9, 4))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    names = [f"{number}.jpg" for number in range(9)]
    DescriptorSet(names, rows).save("gs://bucket/descriptors")
    options = whiten.WhitenOptions(
        descriptors="gs://bucket/descriptors",
        method="pca",
        output="gs://bucket/whitening",
    )
    learned = whiten.main(options)
    again = LinearWhitening.load(options.output)
    assert again.fingerprint == learned.fingerprint


@pytest.mark.parametrize("given", [{"split": "test"}, {"data_dir": "data"}])
def test_a_pca_of_a_part_of_the_photos_is_refused(tmp_path, given):
    options = whiten.WhitenOptions(
        descriptors=str(tmp_path), method="pca", output="whitening", **given
    )
    with pytest.raises(UserError, match="leave out --data_dir and --split"):
        whiten.main(options)
