"""Frames are read by the page byte for byte: what the header says must be where the columns are."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from watling.dashboard.fleet import Positions
from watling.dashboard.frames import MAGIC, TYPES, UNKNOWN, encode


def decoded(frame: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    length = int.from_bytes(frame[4:8], "little")
    header = json.loads(frame[8 : 8 + length])
    columns = {
        name: np.frombuffer(frame, TYPES[kind], header["count"], offset) for name, kind, offset in header["columns"]
    }
    return header, columns


@given(
    st.lists(
        st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 400) | st.just(float("nan"))), max_size=50
    ),
    st.lists(st.tuples(st.integers(0, 9), st.text(max_size=8), st.text(max_size=8)), max_size=5),
)
def test_round_trip(rows: list[tuple[float, float, float]], names: list[tuple[int, str, str]]) -> None:
    """Whatever the ids and positions are, a viewer reads what the server meant."""
    count = len(rows)
    columns = np.array(rows).reshape(count, 3)
    at = 1_795_000_000_000
    positions = Positions(
        np.arange(count, dtype=np.uint32),
        columns[:, 0],
        columns[:, 1],
        columns[:, 2],
        np.full(count, np.nan),
        np.full(count, at - 1234),
        np.full(count, at),
    )
    frame = encode(positions, names, [4], seq=9, at=at, whole=True)
    header, found = decoded(frame)
    assert frame[:4] == MAGIC
    assert (header["seq"], header["at"], header["whole"], header["gone"]) == (9, at, True, [4])
    assert header["names"] == [list(n) for n in names]
    assert all(offset % 8 == 0 for _, _, offset in header["columns"])  # type: ignore[attr-defined]
    assert np.allclose(found["latitude"] / 1e6, columns[:, 0], atol=1e-6)
    assert np.allclose(found["longitude"] / 1e6, columns[:, 1], atol=1e-6)
    known = ~np.isnan(columns[:, 2])
    assert np.allclose(found["speed"][known] / 10, columns[known, 2], atol=0.051)
    assert (found["speed"][~known] == UNKNOWN).all()
    assert (found["heading"] == UNKNOWN).all()
    assert (found["silent"] == 1234).all()
