"""The documented files in which one command hands its result to the next.

Every artifact is a directory with a manifest.json that names its kind and the
checksum of each file, and it appears under its final name only when complete.
"""

from agem_tf.artifacts.descriptor_set import (
    DescriptorSet,
    DescriptorWriter,
    check_finite,
)
from agem_tf.artifacts.full_disk import full_disk_named
from agem_tf.artifacts.manifest import (
    MANIFEST,
    read_manifest,
    write_manifest,
)
from agem_tf.artifacts.provenance import check_same_provenance
from agem_tf.artifacts.ranking import Ranking
from agem_tf.artifacts.resuming import discard_unfinished
from agem_tf.artifacts.row_views import SelectedRows, StackedRows
from agem_tf.artifacts.whitening import Whitening
from agem_tf.artifacts.writing import atomic_directory, atomic_file, flush

__all__ = [
    "MANIFEST",
    "DescriptorSet",
    "DescriptorWriter",
    "Ranking",
    "SelectedRows",
    "StackedRows",
    "Whitening",
    "atomic_directory",
    "atomic_file",
    "check_finite",
    "check_same_provenance",
    "discard_unfinished",
    "flush",
    "full_disk_named",
    "read_manifest",
    "write_manifest",
]
