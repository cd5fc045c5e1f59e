"""Receives what tells a record apart; gives its id: the same recording replayed gives the same ids, so that the
pipeline recognises a replay as duplicates.

An id is a UUID of version 5 (RFC 9562): SHA-1 over a namespace and the text `source|stream|device|time|row|round`, where
`time` is the event time in microseconds since 1970.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:watling:replay")
_VARIANT = {c: "89ab"[int(c, 16) & 3] for c in "0123456789abcdef"}


def uuid5s(names: Iterable[str]) -> list[str]:
    """The texts of `uuid.uuid5(NAMESPACE, name)` for each name, about three times as fast."""
    prefix = hashlib.sha1(NAMESPACE.bytes, usedforsecurity=False)
    variant, result = _VARIANT, []
    for name in names:
        digest = prefix.copy()
        digest.update(name.encode())
        h = digest.hexdigest()
        result.append(f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{variant[h[16]]}{h[17:20]}-{h[20:32]}")
    return result
