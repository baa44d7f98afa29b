"""Arrays of NumPy come back from a pickle without NumPy's own unpickling."""

import io
import pickle

import numpy as np
import pytest

from agem_tf.weights import tensor_pickle


def _through_pickle(value):
    return tensor_pickle.load(io.BytesIO(pickle.dumps(value, 2)))


@pytest.mark.parametrize("item_type", ["<f4", "<f8", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back(item_type, order):
    rng = np.random.default_rng(0)
    array = np.array(rng.normal(size=(3, 5)), item_type, order=order)
    decoded = tensor_pickle.decode(_through_pickle(array))
    np.testing.assert_array_equal(decoded, array)


def test_arrays_share_their_type_in_one_pickle():
    first, second = np.arange(3.0), np.arange(4.0).reshape(2, 2)
    pickled = _through_pickle({"m": first, "P": second})
    np.testing.assert_array_equal(tensor_pickle.decode(pickled["m"]), first)
    np.testing.assert_array_equal(tensor_pickle.decode(pickled["P"]), second)


def test_tensors_are_arrays_already():
    array = np.arange(3.0)
    assert tensor_pickle.decode(array) is array


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.array(["a", "b"]), "other than floats"),
        (np.array([{}, {}]), "other than floats"),
        (np.dtype("f8"), "other than an array"),
        ([1.0, 2.0], "other than an array"),
    ],
)
def test_anything_else_is_refused(value, message):
    with pytest.raises(ValueError, match=message):
        tensor_pickle.decode(_through_pickle(value))


@pytest.mark.parametrize(
    "shape", [(4,), (10**9,) * 2, (-1,), ("a",), 7, (10**600,) * 10**6]
)
def test_sizes_that_are_not_those_of_the_bytes_are_refused(shape):
    call = _through_pickle(np.arange(3.0))
    version, _, *rest = call.state
    call.state = (version, shape, *rest)
    with pytest.raises(ValueError, match="an array"):
        tensor_pickle.decode(call)


def test_an_array_without_its_state_is_refused():
    call = _through_pickle(np.arange(3.0))
    call.state = None
    with pytest.raises(ValueError, match="an array"):
        tensor_pickle.decode(call)
