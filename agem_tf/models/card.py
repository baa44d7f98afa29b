"""The card of a published model: README.md with front matter for Hugging Face.

Reference: https://huggingface.co/docs/hub/model-cards
"""

import pathlib

# People complete it, so manifests do not check it.
CARD = "README.md"
_FRONT_MATTER = """\
---
library_name: {library}
pipeline_tag: image-feature-extraction
tags:
- image-retrieval
- agem_tf
---
"""


def write_card(
    directory: pathlib.Path, library: str, title: str, body: str
) -> None:
    """Writes the card of a model.

    Args:
        directory: Directory of the model.
        library: Library that opens the model, such as "keras".
        title: Title of the card.
        body: What the model takes and gives, in Markdown.
    """
    text = f"{_FRONT_MATTER.format(library=library)}\n# {title}\n\n{body}"
    licence = (
        "\nBefore publishing, add the licence of the weights and name the\n"
        "photos that they were trained on.\n"
    )
    (directory / CARD).write_text(text + licence, encoding="utf-8")
