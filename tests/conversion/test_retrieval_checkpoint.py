"""The meta of a retrieval checkpoint is read, or refused."""

import numpy as np
import pytest

from agem_tf import conversion
from agem_tf.errors import UserError


@pytest.fixture(params=["archive", "stream"])
def read(request, tmp_path, small_checkpoint):
    """Writes the checkpoint in either layout and reads it."""
    path = tmp_path / "net.pth"
    return lambda: conversion.read_network(
        small_checkpoint.write(path, request.param)
    )


def test_says_what_the_network_is(small_checkpoint, read):
    network = read()
    assert network.backbone == "resnet18_torch"
    assert (network.pooling, network.regional) == ("gem", False)
    np.testing.assert_array_equal(network.exponent, np.float32([2.7]))
    assert network.whitening is None
    assert network.preprocessing == network.learned == {}


def test_early_checkpoints_lack_some_entries(small_checkpoint, read):
    for name in ("local_whitening", "regional", "outputdim"):
        del small_checkpoint.meta[name]
    assert read().regional is False


def test_own_mean_and_deviation_are_kept(small_checkpoint, read):
    small_checkpoint.meta["mean"] = (0.5, 0.25, 1)
    assert read().preprocessing == {
        "mean": [127.5, 63.75, 255.0],
        "deviation": pytest.approx([58.395, 57.12, 57.375]),
    }


@pytest.mark.parametrize(
    ("regional", "prefix"), [(False, "whiten."), (True, "pool.whiten.")]
)
def test_whitening_layer(small_checkpoint, read, regional, prefix):
    small_checkpoint.meta |= {"regional": regional, "whitening": not regional}
    small_checkpoint.add_linear(prefix, 5)
    if regional:
        p = small_checkpoint.state.pop("pool.p")
        small_checkpoint.state["pool.rpool.p"] = p
    network = read()
    state = small_checkpoint.state
    np.testing.assert_allclose(
        network.whitening.kernel, state[f"{prefix}weight"], rtol=1e-6
    )
    np.testing.assert_allclose(
        network.whitening.bias, state[f"{prefix}bias"], rtol=1e-6
    )
    np.testing.assert_allclose(network.exponent, [2.7], rtol=1e-6)


def test_learned_whitenings_by_data_and_scales(small_checkpoint, read):
    rng = np.random.default_rng(0)
    single = {"m": rng.normal(size=(7, 1)), "P": rng.normal(size=(5, 7))}
    several = {"m": rng.normal(size=(7, 1)), "P": rng.normal(size=(7, 7)).T}
    small_checkpoint.meta["Lw"] = {
        "retrieval-SfM-30k": {"ss": single, "ms": several},
        "retrieval-SfM-120k": {"ss": several},
    }
    learned = read().learned
    assert [list(scales) for scales in learned.values()] == [
        ["single_scale", "multi_scale"],
        ["single_scale"],
    ]
    mean, projection = learned["retrieval-SfM-30k"]["multi_scale"]
    np.testing.assert_array_equal(mean, several["m"][:, 0])
    np.testing.assert_array_equal(projection, several["P"])


_SQUARE = np.eye(3)


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ({"architecture": "densenet121"}, "its architecture is 'densenet121'"),
        ({"architecture": ["resnet18"]}, r"its architecture is \['resnet18'\]"),
        ({"pooling": "max"}, "its pooling is 'max', known are gem"),
        ({"regional": "yes"}, "its meta has the regional 'yes'"),
        ({"local_whitening": True}, "it whitens local features"),
        ({"whitening": True}, r"asks for the tensors .*whiten.bias"),
        ({"pooling": "mac"}, r"asks for the tensors \[\] .*pool.p"),
        ({"regional": True, "whitening": True}, "only one of them"),
        ({"mean": None}, "the mean None"),
        ({"mean": [0.5, 0.5]}, "the mean"),
        ({"std": [0.2, "x", 0.2]}, "the std"),
        ({"std": [0.2, 0.0, 0.2]}, "a std that is not above 0"),
        ({"Lw": 5}, "not by name"),
        ({"Lw": {"../evil": {}}}, "has the name '../evil'"),
        ({"Lw": {5: {}}}, "has the name 5"),
        ({"Lw": {"sfm": {"xs": {}}}}, "not by ss and ms"),
        ({"Lw": {"sfm": {"ss": {"m": 1}}}}, "not of m and P"),
        ({"Lw": {"sfm": {"ss": {"m": 1, "P": 1}}}}, "no array of floats"),
        *(
            (
                {"Lw": {"sfm": {"ss": {"m": np.ones(2), "P": matrix}}}},
                "no array of floats",
            )
            for matrix in (
                np.array([["a", "b"]]),
                np.array([[{}, {}]]),
                np.dtype("f8"),
                [1.0, 2.0],
            )
        ),
        (
            {"Lw": {"sfm": {"ss": {"m": np.ones(2), "P": _SQUARE}}}},
            "m and P .* do not fit",
        ),
    ],
)
def test_unsupported_networks_are_refused_in_one_line(
    small_checkpoint, read, meta, message
):
    small_checkpoint.meta |= meta
    with pytest.raises(UserError, match=f"net.pth can't.*{message}") as caught:
        read()
    assert "\n" not in str(caught.value)


class _Object:
    """Of a class that only its author has."""

    def __init__(self, content):
        self.content = content


def test_a_value_that_holds_itself_often_fits_on_a_line(small_checkpoint, read):
    """A few bytes of pickle, and 2 ** 60 texts when it is written out."""
    value = ["laugh"]
    for _ in range(60):
        value = [value, value]
    small_checkpoint.meta["regional"] = _Object({"a": value})
    with pytest.raises(UserError, match="regional") as caught:
        read()
    assert len(str(caught.value)) < 400
    small_checkpoint.meta["regional"] = value
    with pytest.raises(UserError, match="regional") as caught:
        read()
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("p", [[0.0], [-1.0], [np.nan], [np.inf], [[1.0]]])
def test_exponents_that_are_none_are_refused(small_checkpoint, read, p):
    small_checkpoint.state["pool.p"] = np.array(p)
    with pytest.raises(UserError, match="exponents"):
        read()


def test_a_meta_of_another_kind_is_refused(small_checkpoint, read):
    small_checkpoint.meta = [1, 2]
    with pytest.raises(UserError, match="its meta is not a dictionary"):
        read()


def test_a_layer_that_does_not_fit_itself_is_refused(small_checkpoint, read):
    small_checkpoint.meta["whitening"] = True
    small_checkpoint.add_linear("whiten.", 5)
    small_checkpoint.state["whiten.bias"] = np.ones(4)
    with pytest.raises(UserError, match="kernel and bias"):
        read()
