"""What a change checks before it touches the index."""

import numpy as np
import PIL.Image
import pytest

from agem_tf.descriptors.descriptor_set import DescriptorSet
from agem_tf.errors import UserError
from agem_tf.library.describing import Described
from agem_tf.library.index_change import add_described, still_unreadable
from agem_tf.retrieval.indexes import ExactIndex, Origin, StoredIndex
from agem_tf.retrieval.indexes.photo_states import PhotoState


def stored_index(provenance):
    return StoredIndex("photos.index", ExactIndex(3), Origin(provenance))


def test_photos_of_another_model_do_not_join_a_replaced_index():
    photos = DescriptorSet(
        ["a", "b"], np.eye(2, 3, dtype=np.float32), {"model": "before"}
    )
    described = Described(photos, [PhotoState(1, 1)] * 2, {})
    replaced = stored_index({"model": "now"})
    with pytest.raises(UserError, match=r"replaced photos\.index meanwhile"):
        add_described(replaced, described)
    assert len(replaced.index) == 0
    assert add_described(stored_index({"model": "before"}), described) == 2


def test_an_unreadable_photo_is_tried_again(tmp_path):
    path = str(tmp_path / "photo.png")
    stored = stored_index({})
    assert still_unreadable(stored, "photo.png", path) is None

    def note():
        size, modified, _ = PhotoState.of(path)
        stored.unreadable["photo.png"] = ["a reason", size, modified]

    (tmp_path / "photo.png").write_text("no photo")
    note()
    # The noted reason may name the folder before it was moved.
    reason = still_unreadable(stored, "photo.png", path).reason
    assert path in reason and reason.endswith("replace or remove it.")
    # As if it had been unreadable by its permissions.
    PIL.Image.new("RGB", (8, 6)).save(path)
    assert still_unreadable(stored, "photo.png", path) is None
    note()
    assert still_unreadable(stored, "photo.png", path) is None
