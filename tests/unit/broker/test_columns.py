"""Columns of a fetch that no Python producer can fill."""

from __future__ import annotations

import pyarrow as pa

from watling.broker import columns


def test_a_header_name_that_is_not_utf8_is_replaced() -> None:
    """One device with a broken header name must not stop its stream."""
    names = columns._utf8(pa.array([b"ok", b"\xffbad"], pa.binary()))
    assert names.to_pylist() == ["ok", "\ufffdbad"]
