"""Albums: the photos of a landmark as JPEG files."""

import cv2
import numpy as np

from agem_tf.rendered_landmarks import (
    SceneSettings,
    make_landmark,
    render,
)
from agem_tf.rendered_landmarks.album import render_album


def test_an_album_has_the_first_photos_of_a_landmark():
    settings = SceneSettings(mean_trees=3)
    album = render_album(0, 2, 96, settings, index=5)
    for number, (jpeg, view) in enumerate(album):
        photo = render(make_landmark(0, 5), number, 96, settings)
        decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        difference = decoded[..., ::-1].astype(float) - photo.image
        assert np.abs(difference).mean() < 6
        assert (view.landmark, view.index) == (5, number)
        np.testing.assert_array_equal(view.visible, photo.view.visible)
