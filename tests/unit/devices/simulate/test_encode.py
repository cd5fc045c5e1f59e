"""JSON that is written digit by digit must be the JSON that everybody else reads."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watling.devices.simulate.encode import (
    LITERAL,
    NUMBER,
    TEXT,
    TIME,
    UUID,
    Piece,
    Template,
    Texts,
    uniforms,
    uuid_words,
)

TEMPLATE = Template(
    [
        Piece('{"id":', UUID),
        Piece(',"t":', TIME),
        Piece(',"a":', NUMBER, 0, 3),
        Piece(',"b":', NUMBER, 1, 0),
        Piece(',"s":', TEXT, 0),
        Piece("}", LITERAL),
    ]
)
WORDS = ["", "Citroën", 'quote " and \\', "Road\n"]
TEXTS = Texts([json.dumps(w).encode() for w in WORDS])
ROW = st.tuples(
    st.floats(-1e9, 1e9) | st.just(float("nan")),
    st.floats(-1e9, 1e9),
    st.integers(-1, len(WORDS) - 1),
    st.integers(0, 7_000_000_000_000_000),
)


@given(st.lists(ROW, max_size=20))
def test_what_is_written_is_what_is_read(rows: list[tuple[float, float, int, int]]) -> None:
    """If this fails, a user's consumer reads another number, text or time than the device had."""
    a, b, s, t = (np.asarray(c) for c in zip(*rows, strict=True)) if rows else (np.empty(0),) * 4
    t = t.astype(np.int64)
    ids = uuid_words(1, 2, np.arange(len(rows)), t)
    out = TEMPLATE.encode(len(rows), [a, b], [(s, TEXTS)], [t], [ids]).to_pylist()
    assert len(out) == len(rows)
    for text, (x, y, word, us) in zip(out, rows, strict=True):
        record = json.loads(text)
        assert ("a" in record) == (x == x)
        if x == x:
            assert record["a"] == pytest.approx(x, abs=0.000501)
        assert record["b"] == pytest.approx(y, abs=0.51)
        assert record.get("s") == (WORDS[word] if word >= 0 else None)
        when = datetime.fromisoformat(record["t"])
        assert when == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=us // 1000)
        assert str(uuid.UUID(record["id"])) == record["id"]
        assert uuid.UUID(record["id"]).version == 8


def test_ids_differ_and_stay() -> None:
    """If this fails, two events share an id and one of them is thrown away as a duplicate."""
    serial, time = np.repeat(np.arange(1000), 100), np.tile(np.arange(100) * 1_000_000, 1000)
    words = np.concatenate([uuid_words(9, s, serial, time) for s in (1, 2)], axis=1)
    assert len(np.unique(words, axis=1).T) == words.shape[1]
    assert (uuid_words(9, 1, serial, time) == words[:, : len(serial)]).all()


def test_traits_are_spread_evenly() -> None:
    """If this fails, the fleet is all one make."""
    u = uniforms(3, 2, np.arange(20_000))
    assert abs(u.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(u)[0, 1]) < 0.03
    assert np.histogram(u[0], 10, (0, 1))[0].min() > 1_800
