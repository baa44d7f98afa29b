"""Makes an index follow its folder: what is new, changed, moved or gone."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agem_tf import cli
from agem_tf.errors import UserError
from agem_tf.library.describing import (
    Unreadable,
    describe_photos,
    photo_name,
)
from agem_tf.library.index_change import (
    IndexChange,
    add_described,
    record_described,
    still_unreadable,
)
from agem_tf.photos.listing import list_folder
from agem_tf.retrieval.indexes import Storage, StoredIndex
from agem_tf.retrieval.indexes.photo_states import PhotoState

if TYPE_CHECKING:
    from agem_tf.extraction.photo_files import FileExtractor

photo_models = cli.lazy("agem_tf.library.photo_models")


def sync_photos(
    storage: Storage,
    photos: str | None = None,
    extractor: FileExtractor | None = None,
) -> IndexChange:
    """Makes an index hold what its folder holds now.

    New photos are added and those that are gone are removed. A photo of another
    size or time is described again if its content has changed; one that has
    moved within the folder keeps its descriptor. Photos that were added from
    other folders stay as they are.

    Args:
        storage: where the index is.
        photos: the folder, if it has moved.
        extractor: extracts the descriptors, if the model of the index is
            loaded already.

    Raises:
        UserError: the folder is not there, or seems to be another one.
    """
    stored = storage.open()
    root = _current_root(stored, photos)
    change = IndexChange()
    paths, plan = _planned(stored, root, photos or root, change.others)
    change.renamed, change.removed = len(plan.moved), len(plan.gone)
    change.skip(plan.unreadable)
    is_same = not (plan.states or plan.gone or plan.coming or plan.forgotten)
    if is_same and root == stored.origin.photos:
        change.present = plan.present
        change.count(stored.index)
        return change
    with storage.workspace() as workspace:
        described = None
        if plan.coming:
            described = describe_photos(
                extractor or photo_models.extractor_of(stored),
                [paths[name] for name in plan.coming],
                root,
                workspace,
            )
        with storage.changed() as stored:
            index = stored.index
            before = index.known(plan.coming)
            moved = {old: plan.moved[old] for old in index.known(plan.moved)}
            # Another process may have added a photo in its new place meanwhile.
            taken = index.known(moved.values())
            twice = {old for old, new in moved.items() if new in taken}
            renamed = {o: n for o, n in moved.items() if o not in twice}
            index.rename(renamed)
            stored.metadata.rename(renamed)
            stored.metadata.forget(plan.gone | twice)
            for name, state in plan.states.items():
                stored.states.record(name, state)
            gone = index.known(plan.gone) | before | twice
            if described is None:
                if gone:
                    index.remove(gone)
            else:
                added = add_described(stored, described, gone)
                change.updated = len(
                    before.intersection(described.photos.names)
                )
                change.added = added - change.updated
                change.removed += len(before) - change.updated
                record_described(stored, described, root, change)
            stored.origin = dataclasses.replace(stored.origin, photos=root)
            for name in plan.forgotten:
                stored.unreadable.pop(name, None)
            change.present = len(index) - change.added - change.updated
            change.count(index)
    return change


@dataclasses.dataclass
class _Plan:
    """Differences of an index and its folder.

    Attributes:
        coming: names of photos to describe.
        gone: names of photos to remove.
        moved: new names by old ones.
        states: states of photos that were moved or touched.
        unreadable: photos that still can't be read, by path.
        forgotten: names of unreadable photos that are gone.
        present: number of unchanged photos.
    """

    coming: list[str] = dataclasses.field(default_factory=list)
    gone: set[str] = dataclasses.field(default_factory=set)
    moved: dict[str, str] = dataclasses.field(default_factory=dict)
    states: dict[str, PhotoState] = dataclasses.field(default_factory=dict)
    unreadable: dict[str, Unreadable] = dataclasses.field(default_factory=dict)
    forgotten: list[str] = dataclasses.field(default_factory=list)
    present: int = 0


def _planned(
    stored: StoredIndex,
    root: str,
    folder: str,
    others: collections.Counter[str],
) -> tuple[dict[str, str], _Plan]:
    """Returns the paths of the photos by name, and what is to be done.

    A photo that is renamed while the folder is listed can be missed under both
    names, or be gone when it is looked at; described again, it would lose its
    metadata. So where photos are gone, the folder is listed again.
    """
    paths = _paths(root, others)
    plan = _compare(stored, paths, folder)
    while plan.gone or not all(os.path.lexists(paths[n]) for n in plan.coming):
        again = _paths(root)
        if again == paths:
            break
        gone, paths = plan.gone, again
        plan = _compare(stored, paths, folder)
        # Others may keep coming.
        if gone and plan.gone == gone:
            break
    return paths, plan


def _paths(
    root: str, others: collections.Counter[str] | None = None
) -> dict[str, str]:
    return {photo_name(path, root): path for path in list_folder(root, others)}


def _compare(
    stored: StoredIndex, paths: Mapping[str, str], folder: str
) -> _Plan:
    """Compares an index with the photos of its folder, by name."""
    plan, states = _Plan(), stored.states.read()
    names = stored.index.names()
    inside = {n for n in names if not _is_outside(n)}
    plan.gone = inside - paths.keys()
    lost = {states[n].digest: n for n in plan.gone if n in states}
    lost.pop("", None)
    plan.forgotten = [
        name
        for name in stored.unreadable.keys() - paths.keys()
        if not _is_outside(name)
    ]
    sizes = {states[name].size for name in lost.values()}
    for name, path in paths.items():
        if reason := still_unreadable(stored, name, path):
            plan.unreadable[path] = reason
            continue
        state, old = PhotoState.of(path), states.get(name)
        if name in inside:
            if old is not None and old.is_like(state):
                continue
            if old is not None and old.digest:
                state = state.hashed(path)
                if state.digest == old.digest:
                    plan.states[name] = state
                    continue
            plan.coming.append(name)
            continue
        if state.size in sizes:
            state = state.hashed(path)
        if state.digest in lost:
            former = lost.pop(state.digest)
            plan.moved[former], plan.states[name] = name, state
            plan.gone.remove(former)
        else:
            plan.coming.append(name)
    if inside and len(plan.gone) == len(inside):
        raise UserError(
            f"None of the {len(inside)} photos of the index is in {folder}; "
            "give --photos=DIR, the folder of the indexed photos, or make a "
            "new index."
        )
    plan.present = len(names) - len(plan.gone)
    return plan


def _is_outside(name: str) -> bool:
    """Whether a photo is not in the folder that names are relative to."""
    return os.path.isabs(name) or name.split("/")[0] == os.pardir


def _current_root(stored: StoredIndex, photos: str | None) -> str:
    root = stored.origin.photos
    if root is None:
        raise UserError(
            f"{stored.place} was made of descriptors and has no folder of "
            "photos to follow; make a new index with --photos."
        )
    if photos is not None:
        return os.path.abspath(os.path.expanduser(photos))
    if not os.path.isdir(root):
        raise UserError(
            f"The photos of the index were in {root}, which is not there; give "
            "--photos=DIR, their folder now."
        )
    return root
