"""Receives columns that may hold a picture as base64 text; gives the picture's bytes and leaves its reference in the row."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image

from watling.contracts.model import Contract, Field, Reason
from watling.pipeline.transforms.arrays import flags, present, put, whole
from watling.pipeline.transforms.faults import Faults

OBJECT = "_object"
MAX_BYTES = 5 * 1024 * 1024
MAX_PIXELS = 50_000_000
REFERENCE = "sha256:"
DATA_URI = re.compile(r"data:[a-z]+/[a-z0-9.+-]+(;[a-z0-9=.-]+)*;base64,", re.IGNORECASE)
LIKELY = r"\A(data:image/|/9j/|iVBORw0KGgo|UklGR|sha256:[0-9a-f]{64}\z)"  # data URI; base64 of JPEG, PNG, WebP; our own
TYPES = {"JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}


def step(table: pa.Table, contract: Contract) -> pa.Table:
    """Picture columns -> `sha256:<hex>` where the text is base64 of a JPEG, PNG or WebP, its bytes in `_object`.

    Fills `<column>_bytes` and `<column>_type` where the contract has them. Text that does not begin like a picture stays.
    Reasons: too_large over 5 MB, wrong_type for what begins like a picture and is none.
    """
    field = next((f for f in contract.fields if f.picture), None)
    if field is None:
        return table
    texts = whole(table[field.name])
    size = table.num_rows
    given = OBJECT in table.column_names
    objects: pa.Array = whole(table[OBJECT]) if given else pa.nulls(size, pa.large_binary())
    if texts.null_count == size:
        return put(table, {OBJECT: objects})
    faults = Faults(table)
    rows = faults.open(np.flatnonzero(flags(pc.match_substring_regex(texts, LIKELY)) & ~present(objects)))
    if not len(rows):
        return put(table, {OBJECT: objects})
    pictures: list[tuple[bytes | None, str | None, str | None]] = []
    for row in rows.tolist():
        found = read(texts[row].as_py())
        if isinstance(found, Refusal):
            faults.add(np.array([row]), found.reason, field.wires[0].name, f"{field.wires[0].name} {found.message}")
            pictures.append((None, None, None))
        else:
            pictures.append((found[0], found[1], REFERENCE + hashlib.sha256(found[0]).hexdigest()))
    return faults.apply(put(table, _columns(table, field, objects, rows, pictures)))


class Refusal:
    """Why a text that begins like a picture is none that the lake takes."""

    def __init__(self, reason: Reason, message: str) -> None:
        self.reason, self.message = reason, message


MANY_PIXELS = Refusal(Reason.TOO_LARGE, f"has too many pixels; at most {MAX_PIXELS} are taken. Send a smaller one.")


def read(text: str) -> tuple[bytes, str] | Refusal:
    """(bytes, media type) of a picture in base64, with or without a `data:` prefix. Decoded to its last line."""
    if text.startswith(REFERENCE):
        return Refusal(Reason.WRONG_TYPE, "is a reference to a picture; send the picture itself, as base64")
    head = DATA_URI.match(text)
    body = text[head.end() :] if head else text
    if len(body) // 4 * 3 > MAX_BYTES * 1.1:
        return _too_large(len(body) // 4 * 3)
    try:
        content = base64.b64decode(re.sub(r"\s", "", body), validate=True)
    except (binascii.Error, ValueError):
        return Refusal(Reason.WRONG_TYPE, "begins like a picture but is no base64; check how the camera encodes it")
    if len(content) > MAX_BYTES:
        return _too_large(len(content))
    try:
        with Image.open(io.BytesIO(content), formats=tuple(TYPES)) as image:
            kind = image.format or ""
            if image.width * image.height > MAX_PIXELS:
                return MANY_PIXELS
            image.draft("L", (image.width // 8, image.height // 8))  # JPEG: all of its data is read, few pixels made
            image.load()
    except Image.DecompressionBombError:
        return MANY_PIXELS
    except Exception:  # a decoder may raise anything for broken data
        return Refusal(Reason.WRONG_TYPE, "begins like a picture but cannot be decoded (cut short?); check the camera")
    return content, TYPES[kind]


def _too_large(size: int) -> Refusal:
    return Refusal(
        Reason.TOO_LARGE, f"is a picture of {size} bytes; at most {MAX_BYTES} are taken. Send a smaller one."
    )


def _columns(
    table: pa.Table,
    field: Field,
    objects: pa.Array,
    rows: np.ndarray,
    pictures: list[tuple[bytes | None, str | None, str | None]],
) -> dict[str, pa.Array]:
    where = np.full(table.num_rows, -1, np.int64)
    where[rows] = np.arange(len(rows))
    pick = pa.array(where, mask=where < 0)
    new = pa.array(where >= 0)

    def over(found: list[object], old: pa.Array) -> pa.Array:
        return pc.if_else(new, pa.array(found, old.type).take(pick), old)

    columns = {
        OBJECT: over([p[0] for p in pictures], objects),
        field.name: over([p[2] for p in pictures], whole(table[field.name])),
    }
    size, kind = f"{field.name}_bytes", f"{field.name}_type"
    if size in table.column_names:
        columns[size] = over([None if p[0] is None else len(p[0]) for p in pictures], whole(table[size]))
    if kind in table.column_names:
        columns[kind] = over([p[1] for p in pictures], whole(table[kind]))
    return columns
