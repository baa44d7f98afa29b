"""The table of what may top a facade.

Every function takes the canvas, a generator and the building's design, and
draws between the eaves and the design's top.
"""

from agem_tf.rendered_landmarks import gables, roofs, towers

CROWNS = {
    "pediment": roofs.pediment,
    "balustrade": roofs.balustrade,
    "dome": roofs.dome,
    "mansard": roofs.mansard,
    "eaves": roofs.eaves,
    "gable": gables.gable,
    "towers": towers.towers,
    "curved_gable": gables.curved_gable,
    "stepped_gable": gables.stepped_gable,
    "parapet": roofs.parapet,
    "clock_tower": towers.clock_tower,
    "ziggurat": roofs.ziggurat,
    "penthouse": roofs.penthouse,
}
