"""Photos of rendered landmarks, for benchmarks of small libraries."""

import io

import PIL.Image

from agem_tf.rendered_landmarks import SceneSettings, make_landmark, render


def rendered_photos(
    seed: int, landmarks: int, shots: int, side: int = 320
) -> list[PIL.Image.Image]:
    """Returns the photos of one landmark after the other.

    Args:
        seed: seed of the landmarks.
        landmarks: number of landmarks.
        shots: photos per landmark.
        side: longer side in pixels.
    """
    return [
        PIL.Image.fromarray(
            render(make_landmark(seed, i), shot, side, SceneSettings()).image
        )
        for i in range(landmarks)
        for shot in range(shots)
    ]


def jpeg(photo: PIL.Image.Image, quality: int = 90) -> bytes:
    """Returns a photo as a JPEG file."""
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
