"""Rankings: validation, and their files."""

import numpy as np
import pytest

from agem_tf.errors import UserError
from agem_tf.retrieval.ranking import Ranking


def test_a_saved_ranking_is_read_back(tmp_path):
    ranks = np.array([[2, 0], [1, 3]], np.int32)
    ranking = Ranking(ranks, ["q", "r"], list("abcd"), {"model": "a1b2"})
    ranking.save(tmp_path / "ranking")
    loaded = Ranking.load(tmp_path / "ranking", verify=True)
    np.testing.assert_array_equal(loaded.ranks, ranks)
    assert loaded.query_names == ["q", "r"]
    assert loaded.database_names == list("abcd")
    assert loaded.provenance == {"model": "a1b2"}


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ([[0, 1]], "each of 2 queries"),
        ([[0.0, 1.0], [1.0, 0.0]], "integers"),
        ([[0, 3], [1, 2]], "indices of 3 database photos"),
        ([[0, -1], [1, 2]], "indices of 3 database photos"),
        ([[0, 1, 2, 0], [1, 2, 0, 1]], "each at most once"),
    ],
)
def test_ranks_that_do_not_match_the_photos_are_refused(ranks, message):
    with pytest.raises(UserError, match=message):
        Ranking(np.array(ranks), ["q", "r"], list("abc"))
