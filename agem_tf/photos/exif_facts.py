"""When and where a photo was taken, as its EXIF block says."""

import datetime
import math
import os
from typing import Any

from PIL.ExifTags import GPS, IFD, Base

from agem_tf.photos.reading import open_metadata, read_photo_file
from agem_tf.photos.upright_rgb import exif_of

_DATES = (Base.DateTimeOriginal, Base.DateTimeDigitized, Base.DateTime)
_FORMAT = "%Y:%m:%d %H:%M:%S"


def read_exif_facts(path: str | os.PathLike) -> dict[str, str | float]:
    """Returns facts of a photo's EXIF block; none of an unreadable photo.

    Args:
        path: path of the photo.

    Returns:
        "date", as 2021-05-03 12:10:11, "latitude" and "longitude" in degrees
        north and east, as far as they are there.
    """
    try:
        encoded = read_photo_file(path)
        with open_metadata(encoded, os.fspath(path)) as photo:
            exif = exif_of(photo)
            details = {**exif, **exif.get_ifd(IFD.Exif)}
            position = dict(exif.get_ifd(IFD.GPSInfo))
    # Pillow raises many types for damaged blocks.
    except Exception:
        return {}
    facts: dict[str, str | float] = {}
    dates = (_date(details.get(tag)) for tag in _DATES)
    if date := next(filter(None, dates), None):
        facts["date"] = date
    latitude = _degrees(position, GPS.GPSLatitude, GPS.GPSLatitudeRef, 90)
    longitude = _degrees(position, GPS.GPSLongitude, GPS.GPSLongitudeRef, 180)
    if latitude is not None and longitude is not None:
        facts |= {"latitude": latitude, "longitude": longitude}
    return facts


def _date(text: Any) -> str | None:
    """Returns "2021:05:03 12:10:11" with hyphens in the date."""
    try:
        return str(datetime.datetime.strptime(text.strip("\0 "), _FORMAT))
    except (AttributeError, ValueError):
        return None


def _degrees(
    position: dict[int, Any], value: int, direction: int, most: int
) -> float | None:
    """Returns degrees, minutes and seconds as one number of degrees."""
    try:
        degrees, minutes, seconds = map(float, position[value])
        sign = -1 if position[direction].strip("\0 ").upper() in "SW" else 1
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError):
        return None
    total = sign * (degrees + minutes / 60 + seconds / 3600)
    if not math.isfinite(total) or abs(total) > most:
        return None
    return round(total, 6)
