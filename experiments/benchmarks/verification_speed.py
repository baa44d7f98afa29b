"""Time to verify 100 candidates of a query, given their local features.

    python -m agem_tf.extract --local=xfeat --photos=photos \
        --output=photos.features
    python experiments/benchmarks/verification_speed.py photos.features

Each of the first photos is the query once, and the 100 photos after it are its
candidates; of fewer photos, some are verified more than once. Features are read
from their store each time.
"""

import functools
import sys

import numpy as np
from measuring import measure, print_table

from agem_tf.descriptors.local_features import LocalFeatureSet
from agem_tf.retrieval.reranking import SpatialVerification

CANDIDATES, QUERIES, REPEATS = 100, 5, 3


def rows(directory):
    """Yields the time of each query."""
    features = LocalFeatureSet.load(directory)
    names = features.names
    step = SpatialVerification(CANDIDATES)

    def verify(query):
        others = np.delete(np.arange(len(names)), query)
        order = np.resize(np.roll(others, -query), CANDIDATES)
        return step.reorder(
            features[names[query]], lambda photo: features[names[photo]], order
        )

    for query in range(QUERIES):
        found = measure(functools.partial(verify, query), REPEATS)
        yield {
            "features of the query": len(features[names[query]]),
            "per photo": f"{features.features_per_photo:.0f}",
            "seconds": f"{found.seconds:.2f}",
            "CPU seconds": f"{found.cpu_seconds:.2f}",
        }


if __name__ == "__main__":
    print_table(rows(sys.argv[1]))
