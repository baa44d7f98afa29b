"""manifest.json: the kind of a directory, its files and their checksums.

Commands run on different days and machines; the manifest turns a truncated copy
or a mixed-up flag into one sentence instead of a wrong score.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from agem_tf._version import __version__
from agem_tf.errors import UserError
from agem_tf.files.checksums import has_checksum, sha256_of
from agem_tf.files.locations import (
    Location,
    as_location,
    is_remote,
    read_file,
    request_each,
    size_of,
)

MANIFEST = "manifest.json"
FORMAT = 1
_CHECKSUM = "checksum"
_UNFINISHED = "unfinished "


def write_manifest(
    directory: Path,
    kind: str,
    copies: Mapping[str, str] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """Lists every file that is now in `directory`; call it last.

    Args:
        directory: Directory of the finished files, which may lie in
            subdirectories.
        kind: Kind of the directory, for example "descriptors".
        copies: Files that are copied into the directory later: relative name
            -> local or remote path.
        **fields: Further entries, which JSON can hold.

    Returns:
        The manifest: {"kind", "format", "created_by", **fields,
        "files": {relative name: {"bytes", "sha256"}}, "checksum"}, where the
        last is that of all other entries.
    """
    files: dict[str, Location] = {
        file: directory / file for file in files_in(directory)
    }
    for file, source in (copies or {}).items():
        files[file] = as_location(source, "the file")
    return _write(
        directory,
        {
            "kind": kind,
            "format": FORMAT,
            "created_by": f"agem_tf {__version__}",
            **fields,
            "files": {file: file_facts(files[file]) for file in sorted(files)},
        },
    )


def begin_manifest(directory: Location, kind: str) -> None:
    """Marks a directory whose files are being written; no reader accepts it."""
    kind = f"{_UNFINISHED}{kind}"
    _write(directory, {"kind": kind, "format": FORMAT, "files": {}})


def is_unfinished(directory: Location) -> bool:
    """Whether a directory is as `begin_manifest` marked it."""
    path = directory / MANIFEST
    manifest = _load(path) if path.exists() else None
    return manifest is not None and manifest["kind"].startswith(_UNFINISHED)


def is_finished(directory: Location) -> bool:
    """Whether a directory has a manifest that is not such a mark."""
    return (directory / MANIFEST).exists() and not is_unfinished(directory)


def read_manifest(
    directory: Path,
    kind: str,
    verify: bool = False,
    unchecked: Sequence[str] = (),
    newest: int = FORMAT,
    unread: Sequence[str] = (),
) -> dict[str, Any]:
    """Reads the manifest and checks that its files are there and unaltered.

    A large file that has not changed is read once a month; see `checksums`.

    Args:
        directory: Directory that `write_manifest` wrote to.
        kind: Kind that the caller expects.
        verify: Whether to read every file, also those known to be unaltered.
        unchecked: Files, and subdirectories whose files, may be missing or
            altered.
        newest: Newest format that the caller reads.
        unread: Subdirectories of which only sizes are checked, unless `verify`,
            because their files have checksums of their own.

    Raises:
        UserError: the directory is missing, of another kind, from a newer
            version, or a file is missing, truncated or altered.
    """
    directory = as_location(directory, "the directory")
    if not directory.is_dir():
        raise UserError(
            f"{directory} does not exist; give the directory of the {kind}."
        )
    path = directory / MANIFEST
    if not path.exists():
        raise UserError(
            f"{directory} has no {MANIFEST}; give a directory of {kind}."
        )
    manifest = _load(path)
    if manifest is None:
        raise UserError(
            f"{path} is damaged; remove its directory and write it again."
        )
    if manifest["kind"] != kind:
        raise UserError(
            f"{directory} holds {manifest['kind']}; give a directory of {kind}."
        )
    if manifest["format"] not in range(FORMAT, newest + 1):
        raise UserError(
            f"{directory} has format {manifest['format']}, but this version of "
            f"agem_tf reads format {newest}; update agem_tf or write it again."
        )

    def check(file: str) -> None:
        folder = file.partition("/")[0]
        if folder in unchecked:
            return
        _check_size(directory / file, manifest["files"][file])
        if verify or folder not in unread:
            _check_content(directory / file, manifest["files"][file], verify)

    if is_remote(directory):
        request_each(check, manifest["files"])
    else:
        for file in manifest["files"]:
            check(file)
    return manifest


def manifest_kind(directory: str | os.PathLike) -> str | None:
    """Returns the kind in the manifest of a directory, None without one."""
    path = as_location(directory, "the directory") / MANIFEST
    manifest = _load(path) if path.exists() else None
    return manifest["kind"] if manifest else None


def holds_kind(directory: str | os.PathLike, kind: str) -> bool:
    """Whether a directory has a readable manifest of a kind."""
    return manifest_kind(directory) == kind


def file_facts(path: Location) -> dict[str, Any]:
    """Returns the entry of a file in the manifest's "files"."""
    return {"bytes": size_of(path), "sha256": sha256_of(path)}


def sealed(entries: dict[str, Any]) -> dict[str, Any]:
    """Returns entries, which JSON can hold, with their checksum as one more."""
    return entries | {_CHECKSUM: _own_checksum(entries)}


def is_unaltered(entries: dict[str, Any]) -> bool:
    """Whether entries are as `sealed` returned them, or have no checksum.

    Those of earlier versions have none.
    """
    return entries.get(_CHECKSUM) in (None, _own_checksum(entries))


def check_replaceable(directory: Location, kind: str | None = None) -> None:
    """Checks that a directory holds no files but those of its manifest.

    One that an upload left unfinished is replaceable as a whole.

    Args:
        directory: Directory that may be missing.
        kind: Kind that its manifest must have; by default any.

    Raises:
        UserError: `directory` is a file, is of another kind, or holds files of
            another origin, for example the manifest.json of a web page.
    """
    if not directory.exists():
        return
    if not directory.is_dir():
        raise UserError(f"{directory} is a file; choose another directory.")
    listed = {}
    if (directory / MANIFEST).exists():
        manifest = _load(directory / MANIFEST)
        if manifest is None:
            raise UserError(
                f"{directory} holds a {MANIFEST} that is damaged or not of "
                "agem_tf; choose another directory or move that file away."
            )
        if manifest["kind"].startswith(_UNFINISHED):
            return
        if kind not in (None, manifest["kind"]):
            raise UserError(
                f"{directory} holds {manifest['kind']} and is not replaced by "
                f"{kind}; choose another directory or remove it."
            )
        listed = manifest["files"]
    for file in files_in(directory):
        if belongs_to_a_mount(file.partition("/")[0], directory):
            continue
        if file not in listed and not _is_litter(file):
            raise UserError(
                f"{directory} holds {file}, which agem_tf did not write there; "
                "choose another directory or move that file away."
            )


def belongs_to_a_mount(name: str, directory: Path) -> bool:
    """Returns whether an entry stays in a directory that is a mount point.

    It is filled from a workspace inside it; see `atomic_writing`.
    """
    is_workspace = name.startswith(f".{directory.name}.") and (
        name.endswith((".tmp", ".unfinished"))
    )
    return is_workspace or name == "lost+found"


def _is_litter(file: str) -> bool:
    """Returns whether desktops and file servers leave such a file.

    Files in hidden folders (.git) do not count.
    """
    *folders, name = file.split("/")
    hidden = name.startswith(".") or name in ("Thumbs.db", "desktop.ini")
    return hidden and not any(folder.startswith(".") for folder in folders)


def files_in(directory: Location) -> list[str]:
    """Returns the relative names of all files but the manifest, sorted."""
    if is_remote(directory):
        return sorted(
            (folder / file).relative_to(directory).as_posix()
            for folder, _, files in directory.walk()
            for file in files
            if folder / file != directory / MANIFEST
        )
    return sorted(
        path.relative_to(directory).as_posix()
        for path in directory.rglob("*")
        if not path.is_dir() and path != directory / MANIFEST
    )


def _write(directory: Location, entries: dict[str, Any]) -> dict[str, Any]:
    manifest = sealed(entries)
    text = json.dumps(manifest, indent=2) + "\n"
    (directory / MANIFEST).write_bytes(text.encode("utf-8"))
    return manifest


def _load(path: Location) -> dict[str, Any] | None:
    """Returns a manifest, or None if it is damaged or of another origin."""
    try:
        manifest = json.loads(read_file(path))
    except (ValueError, RecursionError):
        return None
    if not _is_complete(manifest):
        return None
    return manifest if is_unaltered(manifest) else None


def _is_complete(manifest: Any) -> bool:
    """Returns whether a manifest has the form that `write_manifest` gives it.

    An untrusted manifest must not name files outside of its directory.
    """
    if not isinstance(manifest, dict) or not (
        {"kind", "format", "files"} <= set(manifest)
    ):
        return False
    files = manifest["files"]
    if not isinstance(manifest["kind"], str) or not isinstance(files, dict):
        return False
    return isinstance(manifest.get("provenance", {}), dict) and all(
        not PurePosixPath(name).is_absolute()
        and ".." not in PurePosixPath(name).parts
        and "\0" not in name
        and isinstance(facts, dict)
        and isinstance(facts.get("bytes"), int)
        and isinstance(facts.get("sha256"), str)
        for name, facts in files.items()
    )


def _check_size(path: Location, facts: dict[str, Any]) -> None:
    if not path.exists():
        raise UserError(f"{path} is missing; write its directory again.")
    if not path.is_file():
        raise UserError(f"{path} is not a file; write its directory again.")
    size = size_of(path)
    if size != facts["bytes"]:
        raise UserError(
            f"{path} has {size} bytes instead of {facts['bytes']}; copy or "
            "write its directory again."
        )


def _check_content(path: Location, facts: dict[str, Any], afresh: bool) -> None:
    if not has_checksum(path, facts["sha256"], afresh):
        raise UserError(
            f"{path} differs from its checksum; copy or write its directory "
            "again."
        )


def _own_checksum(entries: dict[str, Any]) -> str:
    others = {k: v for k, v in entries.items() if k != _CHECKSUM}
    text = json.dumps(json.loads(json.dumps(others)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
