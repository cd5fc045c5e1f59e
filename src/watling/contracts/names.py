"""Receives a proposed stream, column or topic name; gives the reason why it cannot be one, or None, to `odcs`."""

from __future__ import annotations

import re

NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}\Z")

RESERVED_WORDS = frozenset(
    """
    all alter analyse analyze and anti any array as asc asof asymmetric authorization between both by case cast
    check collate collation column concurrently constraint create cross cube current_catalog current_date
    current_path current_role current_schema current_time current_timestamp current_user deallocate default
    deferrable delete desc describe distinct do drop else end escape except execute exists extract false fetch for
    foreign freeze from full generated glob group grouping having ilike in initially inner insert intersect into is
    isnull join json_array json_exists json_object json_query json_table json_value lambda lateral leading left like
    limit listagg localtime localtimestamp minus natural normalize not notnull null offset on only or order outer
    overlaps pivot pivot_longer pivot_wider placing positional prepare primary qualify recursive references
    returning right rlike rollup row select semi session_user show similar skip some summarize symmetric system_user
    table tablesample then to trailing trim true try_cast uescape union unique unnest unpivot user using values
    variadic verbose when where window with
    """.split()  # noqa: SIM905  (a list literal would be 150 lines)
)
"""Words that DuckDB, Trino or Spark do not take as a name without quotes."""

TAKEN_STREAMS = frozenset({"quarantine", "main", "information_schema", "system", "temp"})
"""Names of tables and schemas that are Watling's or the SQL engine's own."""

TAKEN_COLUMNS = frozenset({"value", "key", "headers"})
"""Names of the record's own columns, which stand beside the contract's in the pipeline."""


def stream_fault(name: str) -> str | None:
    """Why `name` cannot be a stream's name, with what to do; None if it can."""
    if name in TAKEN_STREAMS or name.startswith(("pg_", "duckdb_", "sqlite_")):
        return (
            f"{name!r} cannot be the name of a stream: it names a table of Watling or of the SQL engine; choose another"
        )
    return _name_fault(name, "a stream")


def column_fault(name: str) -> str | None:
    """Why `name` cannot be a column's name, with what to do; None if it can."""
    if name in TAKEN_COLUMNS:
        return (
            f"{name!r} cannot be the name of a column: the Kafka record has a part of that name; "
            f"choose another, such as 'reading', and keep the wire name with {{property: wire, value: {name}}}"
        )
    if name.startswith("_"):
        return f"{name!r} cannot be the name of a column: names that begin with '_' say where a row came from; drop the '_'"
    return _name_fault(name, "a column")


def topic_fault(name: str) -> str | None:
    """Why `name` cannot be a Kafka topic's name, with what to do; None if it can."""
    if not TOPIC.match(name) or name in {".", ".."}:
        return f"{name!r} is no Kafka topic name: use up to 249 letters, digits, '.', '_' and '-'"
    if name.startswith("__"):
        return f"{name!r} cannot be the topic: names that begin with '__' are Kafka's own"
    return None


def _name_fault(name: str, what: str) -> str | None:
    if not NAME.match(name):
        return (
            f"{name!r} cannot be the name of {what}: use up to 64 lower-case letters, digits and '_', a letter first"
            f"{_suggestion(name)}"
        )
    if name in RESERVED_WORDS:
        return f"{name!r} cannot be the name of {what}: it is a word of SQL; choose another, such as '{name}_name'"
    return None


def _suggestion(name: str) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    snake = re.sub(r"[^a-z0-9]+", "_", snake).strip("_")[:64]
    return f", such as {snake!r}" if NAME.match(snake) and snake not in RESERVED_WORDS else ""
