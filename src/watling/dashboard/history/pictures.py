"""Receives the name of an object of the lake; gives its bytes if they are a picture that a browser may show."""

from __future__ import annotations

from pyiceberg.catalog import Catalog

from watling.config import Settings
from watling.lake.objects import PREFIX, ObjectStore

STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)
WEBP = "image/webp"
TYPES = (*(kind for _, kind in STARTS), WEBP)
HEADERS = {"cache-control": "private, max-age=86400, immutable", "content-disposition": "inline"}


def read(settings: Settings, catalog: Catalog, digest: str) -> tuple[bytes, str] | None:
    """(bytes, media type) of the object, None where it is gone or is no picture. The type is what the bytes say."""
    body = ObjectStore(settings, catalog).get(PREFIX + digest)
    kind = media_type(body) if body is not None else None
    return (body, kind) if body is not None and kind is not None else None


def media_type(body: bytes) -> str | None:
    """The media type of a JPEG, PNG, GIF or WebP, else None."""
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return WEBP
    return next((kind for start, kind in STARTS if body.startswith(start)), None)
