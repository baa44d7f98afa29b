"""The JSON answers of the service."""

from typing import Any

from pydantic import BaseModel


class ErrorAnswer(BaseModel):
    """A refused request."""

    error: str


class Features(BaseModel):
    """What this index and its model offer beyond a search."""

    attention: bool
    matches: bool
    duplicates: bool
    map: bool
    collapse: bool
    metadata: list[str]
    rerank: list[str]


class LibraryAnswer(BaseModel):
    """The index behind the service."""

    photos: int
    version: str
    model: str
    writable: bool
    features: Features


class ListedPhotoAnswer(BaseModel):
    """A photo of the index."""

    name: str
    photo: str
    thumbnail: str
    metadata: dict[str, Any]


class PhotosAnswer(BaseModel):
    """A page of the photos of the index."""

    photos: list[ListedPhotoAnswer]
    total: int


class QueryAnswer(BaseModel):
    """What was searched for: a photo's pixels, and the box in them."""

    width: int | None
    height: int | None
    box: list[float] | None


class ResultAnswer(ListedPhotoAnswer):
    """A photo that was found."""

    rank: int
    similarity: float
    copies: list[str]
    inliers: int | None


class SearchAnswer(BaseModel):
    """Results of a search."""

    query: QueryAnswer
    results: list[ResultAnswer]
    total: int


class ChangeAnswer(BaseModel):
    """Result of a change of the index."""

    names: list[str]
    added: int
    removed: int
    updated: int
    renamed: int
    skipped: list[dict[str, str]]
    photos: int


class MatchesAnswer(BaseModel):
    """Verified matches of two photos, in pixels of the upright photos."""

    inliers: int
    query_points: list[list[float]]
    result_points: list[list[float]]
    query_size: list[int]
    result_size: list[int]
    transform: list[list[float]] | None


class CopyAnswer(ListedPhotoAnswer):
    """A photo of a group, and its similarity to the first one."""

    similarity: float


class DuplicatesAnswer(BaseModel):
    """Groups of photos that show the same."""

    groups: list[list[CopyAnswer]]
    threshold: float


class MapPointAnswer(ListedPhotoAnswer):
    """A photo's place on the map of the library, from 0 to 1."""

    x: float
    y: float


class MapAnswer(BaseModel):
    """The map of the library."""

    points: list[MapPointAnswer]
