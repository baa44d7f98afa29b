"""Parameters that set the difficulty of the rendered photos.

They are in one frozen dataclass, so that the difficulty is tuned in one place
and a changed value is a visible, reviewable change of the data.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class SceneSettings:
    """Distribution of viewpoint, framing, light, clutter and image quality.

    Angles are in degrees, lengths in metres, shares are probabilities in
    [0, 1]. A pair is the range of a uniform draw. A `framing` is the length of
    the facade's longer side divided by the frame's; above 1, parts of the
    facade lie outside the frame. Views that are neither whole nor far nor a
    glimpse show a detail.
    """

    yaw_limit: float = 55.0
    frontal_share: float = 0.35
    roll_deviation: float = 2.0
    off_centre: float = 0.18
    portrait_share: float = 0.35
    elevated_share: float = 0.15
    eye_height: tuple[float, float] = (1.5, 2.3)
    elevated_height: tuple[float, float] = (6.0, 22.0)

    whole_share: float = 0.55
    far_share: float = 0.15
    glimpse_share: float = 0.1
    whole_framing: tuple[float, float] = (0.75, 1.15)
    far_framing: tuple[float, float] = (0.42, 0.7)
    detail_framing: tuple[float, float] = (1.25, 1.9)
    glimpse_framing: tuple[float, float] = (2.3, 3.4)
    field_of_view: tuple[float, float] = (36.0, 72.0)
    detail_field_of_view: tuple[float, float] = (22.0, 58.0)
    nearest_camera: float = 7.0

    light_shares: tuple[tuple[str, float], ...] = (
        ("noon", 0.32),
        ("golden", 0.2),
        ("overcast", 0.2),
        ("haze", 0.07),
        ("dusk", 0.1),
        ("night", 0.11),
    )
    cast_shadow_share: float = 0.45
    exposure_deviation: float = 0.3
    white_balance_deviation: float = 0.07

    mean_trees: float = 1.2
    mean_people: float = 3.5
    mean_vehicles: float = 1.1
    mean_posts: float = 1.2
    foreground_share: float = 0.22

    motion_blur_share: float = 0.07
    defocus_share: float = 0.08
    noise_deviation: tuple[float, float] = (0.003, 0.01)
