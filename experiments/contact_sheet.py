"""Draw the contact sheet of the synthetic landmarks in docs/.

Command: python experiments/contact_sheet.py docs/synthetic_landmarks.jpg
"""

import sys

from agem_tf import rendered_landmarks
from agem_tf.pages.contact_sheet import contact_sheet

LANDMARKS = (9, 17, 23, 16, 59)
VIEWS = 8
SIZE = 150


def main(path: str) -> None:
    """Writes a contact sheet with one row per landmark."""
    photos = [
        rendered_landmarks.render(
            rendered_landmarks.make_landmark(0, index), view
        ).image
        for index in LANDMARKS
        for view in range(VIEWS)
    ]
    sheet = contact_sheet(photos, columns=VIEWS, size=SIZE)
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main(sys.argv[1])
