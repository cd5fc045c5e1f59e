"""Receives a part of an ODCS document; gives its `customProperties` as a dict to `odcs` and `columns`."""

from __future__ import annotations

import difflib
from typing import Any

from watling.contracts.document import Document, Place


def custom_properties(
    document: Document, owner: dict[str, Any], place: Place, known: tuple[str, ...]
) -> dict[str, Any]:
    """`customProperties` of `owner` as a dict; those of other tools pass, a near miss of `known` is a fault."""
    found: dict[str, Any] = {}
    entries = owner.get("customProperties")
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        name = entry.get("property") if isinstance(entry, dict) else None
        if not isinstance(name, str):
            continue
        where = (*place, "customProperties", index)
        if name in found:
            document.fault(where, f"the property '{name}' stands here twice; keep one")
        elif name in known:
            found[name] = entry.get("value")
        else:
            near = difflib.get_close_matches(name.lower(), [k.lower() for k in known], n=1, cutoff=0.75)
            if near and "vendor" not in entry:
                meant = next(k for k in known if k.lower() == near[0])
                document.fault(
                    where,
                    f"unknown property '{name}'; did you mean '{meant}'? (if it is another tool's, give its 'vendor')",
                )
    return found


def property_place(document: Document, place: Place, name: str) -> Place:
    """Where the custom property `name` of the owner at `place` stands; the owner itself if it has none."""
    entries = document.at((*place, "customProperties"))
    for index, entry in enumerate(entries if isinstance(entries, list) else []):
        if isinstance(entry, dict) and entry.get("property") == name:
            return (*place, "customProperties", index)
    return place
