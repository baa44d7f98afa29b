"""Paths that a user gives, local or not."""

import pathlib

import pytest

from agem_tf.errors import UserError
from agem_tf.files.locations import check_local


@pytest.mark.parametrize("kind", [str, pathlib.Path])
def test_a_message_has_a_url_as_it_was_given(kind):
    with pytest.raises(UserError, match="ram://x/y is remote, .* give --index"):
        check_local(kind("ram://x/y"), "--index")
    check_local(kind("x/y"), "--index")
