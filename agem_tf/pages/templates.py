"""HTML templates, and the style that all pages share."""

import os
from collections.abc import Callable
from typing import Any

import jinja2

from agem_tf.files.atomic_writing import atomic_file

_STYLES = "agem_tf.pages"


def rendered(
    package: str,
    template: str,
    filters: dict[str, Callable],
    **values: Any,
) -> str:
    """Returns the page that a template makes of some values.

    Texts are escaped: names of photos come from anywhere. The template takes
    the shared style in by `{% include "style.css" %}`.

    Args:
        package: package that the template lies in.
        template: file name of the template.
        filters: name in the template -> function.
        **values: what the template shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(place, "") for place in (package, _STYLES)]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters.update(filters)
    return environment.get_template(template).render(values)


def save_page(path: str | os.PathLike, page: str) -> None:
    """Writes a page to a file, completely or not at all."""
    with atomic_file(path) as temporary:
        # Photo names on Linux are bytes that need not be valid UTF-8.
        temporary.write_text(page, encoding="utf-8", errors="replace")
