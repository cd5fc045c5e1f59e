"""Receives the text of a query and the names of the tables there are; gives text that may run, and what it reads.

One statement, and one that only reads. `TABLE AT (VERSION => 123)` and `TABLE AT (TIMESTAMP => '…')` choose a snapshot:
DuckDB knows this form for catalogs only, so each becomes the name of a view that the caller makes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import duckdb

from watling.query.errors import QueryError

_READING = frozenset(
    {"SELECT", "EXPLAIN"}
)  # DESCRIBE, SHOW, SUMMARIZE, VALUES, TABLE and PIVOT … IN are SELECT to DuckDB
_EXPLAIN = re.compile(r"\s*explain\s+(analyze\s+)?(\([^)]*\)\s*)?", re.IGNORECASE)
_HIDDEN = frozenset({"duckdb_secrets", "which_secret", "query"})  # keys of the store; text that would run unread
_NAME = re.compile(r'"((?:[^"]|"")*)"|\w+')
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class Moment:
    """A choice of snapshot: by its id, or the newest at a time (UTC). Neither: the newest there is."""

    snapshot: int | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """`sql` is what DuckDB gets. `tables` it names as they are; `moments` are views to make: name → (table, moment)."""

    sql: str
    tables: frozenset[str]
    moments: dict[str, tuple[str, Moment]]


@dataclass(frozen=True, slots=True)
class _Token:
    start: int
    text: str
    kind: str

    @property
    def word(self) -> str:
        return self.text.lower()

    @property
    def name(self) -> str:
        """Without quotes, and without a comment behind it."""
        found = _NAME.match(self.text)
        if found is None:
            return self.word
        return (found[1].replace('""', '"') if found[1] is not None else found[0]).lower()


def read_statement(sql: str, tables: Iterable[str]) -> Statement:
    """Check a query and find the tables it names.

    Raises:
        QueryError: not one statement, one that does more than read, or a snapshot choice that cannot be read.
    """
    known = {t.lower(): t for t in tables}
    rewritten, moments = _moments(sql, known)
    _only_reads(rewritten)
    tokens = _tokens(rewritten)
    if called := next((t.name for t, then in pairwise(tokens) if t.name in _HIDDEN and then.text[0] == "("), None):
        raise QueryError(f"{called}() is not possible: SQL here reads the lake's tables and nothing else")
    words = {t.name for t in tokens if t.kind in ("identifier", "keyword")}
    return Statement(rewritten, frozenset(known[w] for w in words & known.keys()), moments)


def parse_time(text: str) -> datetime:
    """A time in ISO 8601; without an offset it is UTC.

    Raises:
        QueryError: not a time.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise QueryError(f"{text!r} is not a time: write it like 2026-11-24T10:00:00Z") from None
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _only_reads(sql: str) -> None:
    try:
        statements = duckdb.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError(one_line(error)) from None
    if not statements:
        raise QueryError("there is no SQL statement to run")
    if len(statements) > 1:
        raise QueryError(
            "one statement at a time, please: there are several (PIVOT counts as one when it names its values: "
            "ON column IN (…))"
        )
    kind = statements[0].type.name
    if kind not in _READING:
        raise QueryError(
            f"{kind} is not possible: SQL here only reads (SELECT, DESCRIBE, SHOW, SUMMARIZE, EXPLAIN). "
            "The pipeline and `watling lake maintain` are what writes to the lake."
        )
    if kind == "EXPLAIN":
        _only_reads(_EXPLAIN.sub("", _without_comments(sql), count=1))


def one_line(error: Exception) -> str:
    """DuckDB's message on one line, without the drawing of where it is."""
    lines = str(error).split("\nLINE ")[0].split("\n\nLINE ")[0].strip().splitlines()
    return " ".join(line.strip() for line in lines if line.strip())


def _tokens(sql: str) -> list[_Token]:
    found = duckdb.tokenize(sql)
    encoded = sql.encode()  # offsets are in bytes
    ends = [start for start, _ in found][1:] + [len(encoded)] * bool(found)
    parts = [encoded[start:end].decode(errors="replace") for (start, _), end in zip(found, ends, strict=True)]
    return [
        _Token(start, part.rstrip(), kind.name)
        for (start, kind), part in zip(found, parts, strict=True)
        if part.strip()
    ]


def _without_comments(sql: str) -> str:
    return re.sub(r"/\*.*?\*/|--[^\n]*", " ", sql, flags=re.DOTALL) if re.match(r"\s*(--|/\*)", sql) else sql


def _moments(sql: str, known: dict[str, str]) -> tuple[str, dict[str, tuple[str, Moment]]]:
    """Replace each `TABLE AT (…)`. Works on bytes, as DuckDB counts."""
    tokens = _tokens(sql)
    encoded = sql.encode()
    parts: list[bytes] = []
    moments: dict[str, tuple[str, Moment]] = {}
    at = 0
    for i in range(len(tokens) - 2):
        table, word, bracket = tokens[i : i + 3]
        if word.word != "at" or bracket.text != "(" or table.kind not in ("identifier", "keyword"):
            continue
        close = next((j for j in range(i + 3, len(tokens)) if tokens[j].text.startswith(")")), None)
        if close is None:
            continue
        if table.name not in known:
            raise missing_table(table.name, known.values())
        moment = _moment(tokens[i + 3 : close])
        view = f"{known[table.name]} at {moment.snapshot if moment.snapshot is not None else moment.time}"
        moments[view] = (known[table.name], moment)
        following = tokens[close + 1] if close + 1 < len(tokens) else None
        alias = "" if following is not None and _is_alias(following) else f' AS "{known[table.name]}"'
        parts += [encoded[at : table.start], f'"{view}"{alias} '.encode()]
        at = tokens[close].start + 1
    return (b"".join([*parts, encoded[at:]])).decode(), moments


def _is_alias(token: _Token) -> bool:
    return token.word == "as" or (
        token.kind == "identifier" and (token.text[0] == '"' or bool(_PLAIN.match(token.text)))
    )


def _moment(tokens: list[_Token]) -> Moment:
    words = [t.word for t in tokens]
    if words[:3] == ["timestamp", "=>", "timestamp"]:
        del words[2]
    if len(words) == 3 and words[1] == "=>":
        if words[0] == "version" and words[2].isdecimal():
            return Moment(snapshot=int(words[2]))
        if words[0] == "timestamp" and words[2].startswith("'"):
            return Moment(time=parse_time(tokens[-1].text.strip("'")))
    raise QueryError("after AT write (VERSION => 123…) with a snapshot's id, or (TIMESTAMP => '2026-11-24T10:00:00Z')")


def missing_table(name: str, tables: Iterable[str]) -> QueryError:
    """What to say of a table that is not there."""
    there = ", ".join(sorted(tables))
    return QueryError(
        f"there is no table {name}. Tables: {there}."
        if there
        else f"there is no table {name}: the lake is empty. The pipeline makes its tables: `watling up` or `watling run`."
    )
