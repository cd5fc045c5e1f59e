"""Camera pictures leave the row and their reference stays."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random

import pytest
from PIL import Image

from watling.pipeline.plan import shape
from watling.pipeline.split import split
from watling.pipeline.transforms import picture

from .batches import CONTRACTS, records

CONTRACT = CONTRACTS["traffic"]


def image(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    pixels = Image.frombytes("RGB", size, random.Random(3).randbytes(size[0] * size[1] * 3))
    out = io.BytesIO()
    pixels.save(out, kind)
    return out.getvalue()


def sent(snapshot: object, number: int = 0) -> bytes:
    event = {"id": f"e{number}", "camera_id": "c", "timestamp": "2026-11-24T10:00:00Z", "snapshot": snapshot}
    return json.dumps(event).encode()


@pytest.mark.parametrize(("kind", "media"), [("JPEG", "image/jpeg"), ("PNG", "image/png"), ("WEBP", "image/webp")])
@pytest.mark.parametrize("prefix", ["", "data:image/any;base64,"])
def test_a_picture_becomes_a_reference_with_its_bytes_beside_it(kind: str, media: str, prefix: str) -> None:
    """Else the lake holds megabytes of text in a row, or points to bytes that nobody stored."""
    content = image(kind)
    row = shape(records([sent(prefix + base64.b64encode(content).decode())]), CONTRACT).to_pylist()[0]
    assert row["_reason"] is None
    assert row["snapshot"] == "sha256:" + hashlib.sha256(content).hexdigest()
    assert (row["snapshot_bytes"], row["snapshot_type"], row["_object"]) == (len(content), media, content)


def test_text_that_is_no_picture_stays_as_it_is() -> None:
    """Else the tutorial's own producers, which send a placeholder, end in quarantine."""
    texts = ["Base64EncodedString", "", "https://example.org/a.jpg", "AAAA"]
    shaped = shape(records([sent(t, n) for n, t in enumerate(texts)]), CONTRACT)
    assert shaped["snapshot"].to_pylist() == texts
    assert shaped["_reason"].null_count == len(texts)
    assert shaped["_object"].null_count == shaped["snapshot_bytes"].null_count == len(texts)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (base64.b64encode(image("JPEG")[:-400]).decode(), "wrong_type"),
        (base64.b64encode(image("PNG")[:200]).decode(), "wrong_type"),
        ("/9j/ this is no base64 @@", "wrong_type"),
        ("data:image/png;base64,AAAA", "wrong_type"),
        ("/9j/" + "A" * (8 * 1024 * 1024), "too_large"),
        ("sha256:" + "0" * 64, "wrong_type"),
    ],
)
def test_what_begins_like_a_picture_and_is_none_is_refused_alone(text: str, reason: str) -> None:
    """Else the page shows broken pictures, or one bad camera stops the others."""
    good = base64.b64encode(image("JPEG")).decode()
    shaped = shape(records([sent(good, 0), sent(text, 1), sent(good, 2)]), CONTRACT)
    assert shaped["_reason"].to_pylist() == [None, reason, None]
    assert shaped["_field"].to_pylist()[1] == "snapshot"
    assert shaped["_object"].to_pylist()[1] is None
    _, rejected = split(shaped, CONTRACT, 0)
    assert rejected["raw"].to_pylist() == [sent(text, 1)]


def test_a_picture_of_a_record_that_is_bad_already_is_not_decoded() -> None:
    """Else bytes are stored that no row of the lake refers to."""
    value = sent(base64.b64encode(image("JPEG")).decode()).replace(b"2026-11-24", b"1926-11-24")
    shaped = shape(records([value]), CONTRACT)
    assert shaped["_reason"].to_pylist() == ["out_of_range"]
    assert shaped["_object"].to_pylist() == [None]


def test_a_small_text_cannot_become_a_huge_picture() -> None:
    """Else a crafted picture takes all of the pipeline's memory."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    found = picture.read(base64.b64encode(bomb.getvalue()).decode())
    assert isinstance(found, picture.Refusal)
    assert found.reason == "too_large"
