"""Checks of the numbers that layers and losses are created with."""


def check_above_zero(**arguments: float) -> None:
    """Checks that every argument is above 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in arguments.items():
        if value <= 0:
            raise ValueError(
                f"`{name}` must be above 0. Received: {name}={value}"
            )


def check_between(least: int, most: int, **arguments: int) -> None:
    """Checks that every argument is from `least` to `most`.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in arguments.items():
        if not least <= value <= most:
            raise ValueError(
                f"`{name}` must be from {least} to {most}. "
                f"Received: {name}={value}"
            )


def check_at_least(least: int, **arguments: int) -> None:
    """Checks that every argument is at least `least`.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in arguments.items():
        if value < least:
            raise ValueError(
                f"`{name}` must be at least {least}. Received: {name}={value}"
            )
