"""Where a model runs: one device, several GPUs, several machines, a TPU.

The rest of the package sees a tf.distribute strategy and the functions of this
room, and is one program for all of them; batch sizes in recipes are global.
"""

from agem_tf.distribution.batches import (
    check_recipe,
    check_shapes,
    distribute,
    divide,
    gather,
    per_replica,
)
from agem_tf.distribution.strategies import create_strategy
from agem_tf.distribution.workers import (
    check_agreement,
    chief_first,
    from_chief,
    is_chief,
    lost_workers_named,
    wait_for_all,
)

__all__ = [
    "check_agreement",
    "check_recipe",
    "check_shapes",
    "chief_first",
    "create_strategy",
    "distribute",
    "divide",
    "from_chief",
    "gather",
    "is_chief",
    "lost_workers_named",
    "per_replica",
    "wait_for_all",
]
