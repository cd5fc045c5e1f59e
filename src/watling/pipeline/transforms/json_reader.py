"""Receives JSON texts as one Arrow array from decode and rename; gives the text of wanted keys, a column each, row by row.

DuckDB serves as a computing device: one connection in memory for each thread, one thread each, no extension but
its built-in `json`. Row i of the answer is value i of the input by construction.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from functools import lru_cache

import duckdb
import numpy as np
import pyarrow as pa

from watling.pipeline.transforms.arrays import flags, spans, whole, without

PIECE_BYTES = 8 * 1024 * 1024
_local = threading.local()


def connection() -> duckdb.DuckDBPyConnection:
    """This thread's DuckDB. Not shared with a forked child."""
    held: tuple[int, duckdb.DuckDBPyConnection] | None = getattr(_local, "held", None)
    if held is None or held[0] != os.getpid():
        settings: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        held = (os.getpid(), duckdb.connect(":memory:", config=settings))
        _local.held = held
    return held[1]


def compute(query: str, **columns: pa.Array) -> pa.Table:
    """The answer to `query` over a table `input` of these columns, its rows in their order."""
    con = connection()
    con.register("input", pa.table(columns))
    try:
        return con.execute(query).to_arrow_table(batch_size=max(len(next(iter(columns.values()))), 1))
    finally:
        con.unregister("input")


def read_objects(texts: pa.Array, keys: tuple[str, ...], doubtful: np.ndarray) -> tuple[dict[str, pa.Array], pa.Array]:
    """Top-level `keys` of each JSON text (large_string, valid UTF-8, null allowed).

    Gives a string column for each key and a boolean column that is true where the text is JSON other than `null`.
    A key's text is that of its value: a string unescaped, a number in its shortest form (integers digit for digit), an
    object or array as JSON; null where the key is missing or null; the first of equal keys counts. Trailing commas
    and the words NaN and Infinity are tolerated. `doubtful` (boolean) marks texts that do not look like objects: they
    are checked first. Where another one is malformed, all of its piece are checked and read again.
    """
    groups = _apart(keys)
    query = _query(groups)
    answer = pa.concat_tables([_read(query, piece, doubtful[at : at + len(piece)]) for at, piece in pieces(texts)])
    answer = answer.combine_chunks()
    columns: dict[str, pa.Array] = {}
    for number, group in enumerate(groups):
        columns |= dict(zip(group, whole(answer[f"g{number}"]).flatten(), strict=True))
    return columns, whole(answer["g0"]).is_valid()


def kinds_of(texts: pa.Array, key: str) -> pa.Array:
    """DuckDB's name of the type (`OBJECT`, `ARRAY`, `VARCHAR`, …) of top-level `key` in each valid JSON text."""
    pointer = "/" + key.replace("~", "~0").replace("/", "~1").replace("'", "''")
    query = f"select json_type(v, '{pointer}') as kind from input"  # noqa: S608  the key is quoted
    return whole(pa.concat_tables([compute(query, v=piece) for _, piece in pieces(texts)])["kind"])


def pieces(texts: pa.Array) -> Iterator[tuple[int, pa.Array]]:
    """(first row, slice) of at most PIECE_BYTES, or one text: the trees of up to 2,048 texts are in memory at once.

    A tree takes up to 16 bytes for each of its text.
    """
    _, start, end = spans(texts)
    at = 0
    while True:
        to = max(int(np.searchsorted(end, start[at] + PIECE_BYTES, "right")), at + 1) if at < len(texts) else at
        yield at, texts.slice(at, to - at)
        at = to
        if at >= len(texts):
            return


def _read(query: str, texts: pa.Array, doubtful: np.ndarray) -> pa.Table:
    if doubtful.any():
        rows = np.flatnonzero(doubtful)
        malformed = doubtful.copy()
        malformed[rows] = ~flags(_valid(texts.take(pa.array(rows))))
        texts = without(texts, malformed)
    try:
        return compute(query, v=texts)
    except (duckdb.InvalidInputException, UnicodeDecodeError):  # the latter: a message cut within a character
        return compute(query, v=without(texts, ~flags(_valid(texts))))


def _valid(texts: pa.Array) -> pa.Array:
    return whole(compute("select json_valid(v) as valid from input", v=texts)["valid"])


@lru_cache(maxsize=64)
def _query(groups: tuple[tuple[str, ...], ...]) -> str:
    columns = []
    for number, group in enumerate(groups):
        shape = json.dumps(dict.fromkeys(group, "VARCHAR"), ensure_ascii=False).replace("'", "''")
        columns.append(f"from_json(v, '{shape}') as g{number}")
    return f"select {', '.join(columns)} from input"  # noqa: S608  keys are quoted above


@lru_cache(maxsize=64)
def _apart(keys: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Keys in groups within which no two differ by case alone: DuckDB's struct fields ignore case, JSON keys do not."""
    groups: list[dict[str, str]] = []
    for key in keys:
        for group in groups:
            if key.lower() not in group:
                group[key.lower()] = key
                break
        else:
            groups.append({key.lower(): key})
    return tuple(tuple(group.values()) for group in groups)
