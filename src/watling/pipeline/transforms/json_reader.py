"""Receives JSON texts as one Arrow array from decode and rename; gives the text of wanted keys, a column each, row by row.

DuckDB serves as a computing device: one connection in memory for each thread, one thread each, no extension but
its built-in `json`. Row i of the answer is value i of the input by construction.
"""

from __future__ import annotations

import json
import os
import threading
from functools import lru_cache

import duckdb
import numpy as np
import pyarrow as pa

PIECE = 16_384  # rows that are read again with the guard when one of them is malformed
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


def read_objects(texts: pa.Array, keys: tuple[str, ...], likely: np.ndarray) -> tuple[dict[str, pa.Array], pa.Array]:
    """Top-level `keys` of each JSON text (large_string, valid UTF-8, null allowed).

    Gives a string column for each key and a boolean column that is true where the text is JSON other than `null`.
    A key's text is that of its value: a string unescaped, a number in its shortest form (integers digit for digit), an
    object or array as JSON; null where the key is missing or null; the first of equal keys counts. Trailing commas
    and the words NaN and Infinity are tolerated. `likely` marks texts that look like objects: they are tried
    without a guard first.
    """
    groups = _apart(keys)
    if not len(texts):
        return {key: pa.array([], pa.string()) for key in keys}, pa.array([], pa.bool_())
    try:
        answer = _ask(texts, groups, likely)
    except (duckdb.InvalidInputException, UnicodeDecodeError):  # the latter: a message cut within a character
        answer = pa.concat_tables(
            _ask_piece(texts.slice(i, PIECE), groups, likely[i : i + PIECE]) for i in range(0, len(texts), PIECE)
        )
    columns: dict[str, pa.Array] = {}
    for number, group in enumerate(groups):
        struct = answer[f"g{number}"]
        struct = struct.chunk(0) if struct.num_chunks == 1 else struct.combine_chunks()
        columns |= dict(zip(group, struct.flatten(), strict=True))
        if number == 0:
            read = struct.is_valid()
    return columns, read


def _ask_piece(texts: pa.Array, groups: tuple[tuple[str, ...], ...], likely: np.ndarray) -> pa.Table:
    try:
        return _ask(texts, groups, likely)
    except (duckdb.InvalidInputException, UnicodeDecodeError):
        return _ask(texts, groups, np.zeros(len(texts), dtype=bool))


def _ask(texts: pa.Array, groups: tuple[tuple[str, ...], ...], likely: np.ndarray) -> pa.Table:
    if likely.all():
        return compute(_query(groups, "plain"), v=texts)
    if likely.any():
        return compute(_query(groups, "likely"), v=texts, likely=pa.array(likely))
    return compute(_query(groups, "guarded"), v=texts)


@lru_cache(maxsize=64)
def _query(groups: tuple[tuple[str, ...], ...], guard: str) -> str:
    columns = []
    for number, group in enumerate(groups):
        shape = json.dumps(dict.fromkeys(group, "VARCHAR"), ensure_ascii=False).replace("'", "''")
        read = f"from_json(v, '{shape}')"
        if guard == "guarded":
            read = f"case when json_valid(v) then {read} end"
        elif guard == "likely":
            read = f"case when likely then {read} when json_valid(v) then {read} end"
        columns.append(f"{read} as g{number}")
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
