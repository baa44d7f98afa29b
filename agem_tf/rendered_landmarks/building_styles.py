"""Architectural styles from which the buildings are sampled.

Many landmarks share a style, so that they differ in the number and shape of
their parts rather than in colour. They are the hard negatives.
"""

from dataclasses import dataclass

from agem_tf.rendered_landmarks.wall_surface import Color


@dataclass(frozen=True)
class Style:
    """Choices shared by the buildings of one style.

    Attributes:
        name: name of the style.
        walls, trims, roofs: sRGB colours to choose from.
        pattern: wall pattern: "ashlar", "brick", "plaster", "panel" or
            "timber".
        windows: window shapes to choose from; see `openings.outline`.
        crowns: tops of the facade to choose from; keys of `crowns.CROWNS`.
        floors: fewest and most floors, both inclusive.
        floor_height, bay_width: ranges in metres.
        bays: fewest and most windows side by side, both inclusive.
        ornaments: ornaments of which each building gets a random subset.
        roof: "across" (ridge parallel to the street), "along" (ridge
            perpendicular to the street) or "flat".
    """

    name: str
    walls: tuple[Color, ...]
    trims: tuple[Color, ...]
    roofs: tuple[Color, ...]
    pattern: str
    windows: tuple[str, ...]
    crowns: tuple[str, ...]
    floors: tuple[int, int]
    floor_height: tuple[float, float]
    bays: tuple[int, int]
    bay_width: tuple[float, float]
    ornaments: tuple[str, ...]
    roof: str


_SLATE = ((82, 88, 98), (96, 98, 102), (70, 78, 84))
_TILES = ((158, 84, 56), (142, 72, 52), (170, 100, 70), (120, 66, 50))
_COPPER = ((106, 150, 134), (92, 140, 122), (90, 96, 98))
_LIMESTONE = ((206, 194, 168), (216, 206, 184), (192, 180, 156))
_SANDSTONE = ((190, 160, 118), (178, 146, 106), (200, 172, 130))

STYLES: tuple[Style, ...] = (
    Style(
        name="classical",
        walls=_LIMESTONE,
        trims=((222, 214, 196), (210, 200, 178)),
        roofs=_COPPER,
        pattern="ashlar",
        windows=("rectangle", "round"),
        crowns=("pediment", "balustrade", "dome"),
        floors=(2, 3),
        floor_height=(4.4, 5.8),
        bays=(5, 9),
        bay_width=(2.9, 3.8),
        ornaments=("columns", "hoods", "flags", "statues", "base", "stairs"),
        roof="flat",
    ),
    Style(
        name="boulevard",
        walls=((214, 202, 176), (206, 192, 164), (222, 212, 192)),
        trims=((224, 216, 198), (200, 188, 164)),
        roofs=_SLATE,
        pattern="ashlar",
        windows=("rectangle", "segment"),
        crowns=("mansard",),
        floors=(4, 6),
        floor_height=(3.2, 3.8),
        bays=(4, 7),
        bay_width=(2.5, 3.2),
        ornaments=("balconies", "hoods", "awnings", "shops", "quoins"),
        roof="across",
    ),
    Style(
        name="palazzo",
        walls=((210, 150, 96), (204, 128, 92), (222, 186, 122), (196, 112, 84)),
        trims=((226, 214, 192), (232, 224, 208)),
        roofs=_TILES,
        pattern="plaster",
        windows=("rectangle", "round", "segment"),
        crowns=("eaves", "balustrade"),
        floors=(3, 4),
        floor_height=(3.8, 4.8),
        bays=(4, 7),
        bay_width=(3.0, 3.8),
        ornaments=("shutters", "quoins", "balconies", "hoods", "arcade"),
        roof="across",
    ),
    Style(
        name="church",
        walls=_SANDSTONE + ((176, 168, 154), (160, 152, 140)),
        trims=((206, 190, 160), (190, 180, 164)),
        roofs=_SLATE,
        pattern="ashlar",
        windows=("pointed",),
        crowns=("gable", "towers"),
        floors=(2, 3),
        floor_height=(6.0, 8.0),
        bays=(3, 5),
        bay_width=(3.2, 4.4),
        ornaments=("rose", "buttresses", "statues", "great_portal", "clock"),
        roof="along",
    ),
    Style(
        name="baroque",
        walls=(
            (228, 204, 140),
            (226, 178, 148),
            (206, 212, 190),
            (234, 222, 196),
        ),
        trims=((238, 234, 224), (244, 240, 232)),
        roofs=_COPPER,
        pattern="plaster",
        windows=("round", "segment", "rectangle"),
        crowns=("curved_gable", "towers", "dome"),
        floors=(2, 3),
        floor_height=(5.0, 6.6),
        bays=(3, 7),
        bay_width=(3.0, 3.8),
        ornaments=("pilasters", "statues", "clock", "great_portal", "hoods"),
        roof="along",
    ),
    Style(
        name="guildhouse",
        walls=((152, 78, 60), (164, 92, 68), (136, 70, 58)),
        trims=((214, 204, 184), (196, 186, 166)),
        roofs=_TILES,
        pattern="brick",
        windows=("rectangle", "segment", "round"),
        crowns=("stepped_gable", "curved_gable"),
        floors=(3, 5),
        floor_height=(3.2, 4.0),
        bays=(3, 4),
        bay_width=(2.4, 3.0),
        ornaments=("shutters", "shops", "clock", "bands", "hoods"),
        roof="along",
    ),
    Style(
        name="warehouse",
        walls=((142, 72, 56), (128, 66, 54), (158, 92, 72), (118, 74, 62)),
        trims=((122, 62, 50), (188, 176, 152), (96, 58, 50)),
        roofs=_SLATE,
        pattern="brick",
        windows=("segment", "round", "rectangle"),
        crowns=("parapet", "gable", "stepped_gable"),
        floors=(4, 6),
        floor_height=(3.4, 4.2),
        bays=(4, 8),
        bay_width=(2.8, 3.6),
        ornaments=("pilasters", "bands", "sign", "fire_escape", "great_portal"),
        roof="across",
    ),
    Style(
        name="timber",
        walls=(
            (226, 214, 190),
            (220, 198, 156),
            (208, 186, 150),
            (232, 226, 212),
        ),
        trims=((74, 52, 40), (92, 62, 44), (60, 48, 42)),
        roofs=_TILES,
        pattern="timber",
        windows=("rectangle",),
        crowns=("gable",),
        floors=(3, 4),
        floor_height=(2.7, 3.2),
        bays=(3, 5),
        bay_width=(2.2, 2.8),
        ornaments=("shutters", "flowers", "shops", "sign", "base"),
        roof="along",
    ),
    Style(
        name="town_hall",
        walls=(
            (176, 152, 122),
            (186, 166, 138),
            (162, 98, 76),
            (172, 166, 154),
        ),
        trims=((216, 204, 178), (206, 198, 184)),
        roofs=_SLATE,
        pattern="ashlar",
        windows=("pointed", "round", "segment"),
        crowns=("clock_tower", "stepped_gable"),
        floors=(3, 4),
        floor_height=(4.0, 5.0),
        bays=(5, 9),
        bay_width=(2.7, 3.4),
        ornaments=("arcade", "flags", "statues", "balconies", "hoods", "bands"),
        roof="across",
    ),
    Style(
        name="deco",
        walls=(
            (222, 212, 194),
            (204, 190, 170),
            (232, 224, 210),
            (190, 176, 160),
        ),
        trims=((170, 152, 124), (120, 128, 120), (84, 96, 104)),
        roofs=_SLATE,
        pattern="plaster",
        windows=("rectangle",),
        crowns=("ziggurat",),
        floors=(5, 8),
        floor_height=(3.3, 3.9),
        bays=(5, 7),
        bay_width=(2.7, 3.3),
        ornaments=("pilasters", "sign", "bands", "great_portal", "clock"),
        roof="flat",
    ),
    Style(
        name="concrete",
        walls=(
            (168, 164, 156),
            (186, 180, 170),
            (150, 148, 144),
            (196, 192, 184),
        ),
        trims=((140, 136, 130), (204, 200, 192), (118, 90, 70)),
        roofs=_SLATE,
        pattern="panel",
        windows=("ribbon", "rectangle"),
        crowns=("parapet", "penthouse"),
        floors=(5, 8),
        floor_height=(3.0, 3.6),
        bays=(5, 9),
        bay_width=(2.8, 3.6),
        ornaments=("balconies", "fins", "colour_panels", "sign", "shops"),
        roof="flat",
    ),
    Style(
        name="glass",
        walls=((92, 104, 112), (112, 118, 120), (70, 84, 92), (150, 154, 154)),
        trims=((60, 66, 70), (176, 180, 182), (132, 112, 90)),
        roofs=_SLATE,
        pattern="panel",
        windows=("curtain",),
        crowns=("parapet", "penthouse"),
        floors=(6, 9),
        floor_height=(3.2, 3.8),
        bays=(6, 10),
        bay_width=(2.4, 3.2),
        ornaments=("fins", "colour_panels", "sign", "diagonals", "shops"),
        roof="flat",
    ),
)
