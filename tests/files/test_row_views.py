"""Views of descriptors that read as the array they stand for."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.files.rows import SelectedRows, StackedRows


@pytest.fixture
def parts():
    rng = np.random.default_rng(0)
    sizes = (4, 0, 3, 5)
    return [rng.normal(size=(n, 3)).astype(np.float32) for n in sizes]


@pytest.mark.parametrize(
    "key",
    [
        slice(0, 12),
        slice(1, 3),
        slice(3, 8),
        slice(4, 7),
        slice(9, 100),
        slice(12, 15),
        slice(5, 5),
        np.array([11, 0, 4, 4, 6]),
        np.array([[7, 2]]),
        np.array([], np.int64),
        5,
    ],
)
def test_a_stack_reads_as_its_concatenation(parts, key):
    whole, stack = np.concatenate(parts), StackedRows(parts)
    assert (stack.shape, stack.ndim, len(stack)) == ((12, 3), 2, 12)
    np.testing.assert_array_equal(stack[key], whole[key])


def test_a_slice_within_one_part_is_not_copied(parts):
    assert np.shares_memory(StackedRows(parts)[5:7], parts[2])


def test_parts_of_several_precisions_are_searched_together(parts):
    stack = StackedRows([parts[0], parts[3].astype(np.float16)])
    assert stack[2:6].dtype == stack[np.array([1, 6])].dtype == np.float32
    np.testing.assert_array_equal(stack[4:9], parts[3].astype(np.float16))


def test_other_dimensions_are_refused(parts):
    with pytest.raises(UserError, match="one dimension, not 3 and 2"):
        StackedRows([parts[0], parts[3][:, :2]])


def test_a_selection_reads_as_the_rows_selected(parts):
    rows = np.array([3, 0, 0, 2])
    selection = SelectedRows(parts[3], rows)
    assert selection.shape == (4, 3)
    for key in (slice(1, 3), np.array([3, 1]), 2):
        np.testing.assert_array_equal(selection[key], parts[3][rows][key])
