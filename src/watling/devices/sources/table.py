"""Receives a delimited text file; gives adapters its columns as texts, a block at a time, with the line of each row.

Blocks without quotes go through Arrow's reader; the others through Python's, which knows where each record begins.
A record with the wrong number of columns, or that is not in the file's encoding, is a fault.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.lines import MAX_LINE, blocks

HEADER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one file: string columns (empty is null) and the line each row begins at, from 1."""

    file: str
    table: pa.Table
    lines: np.ndarray[tuple[int], np.dtype[np.int64]]

    def column(self, name: str) -> pa.Array:
        """One column as a plain array; all null where the file does not have it."""
        if name not in self.table.column_names:
            return pa.nulls(len(self.lines), pa.string())
        return self.table.column(name).combine_chunks()

    def keep(self, good: pa.Array) -> Block:
        """The rows where `good` is true."""
        mask = np.asarray(pc.fill_null(good, False))
        return self if mask.all() else Block(self.file, self.table.filter(pa.array(mask)), self.lines[mask])

    def reject(self, bad: pa.Array, message: str, faults: Faults, value: pa.Array | None = None) -> Block:
        """Report the rows where `bad` is true and give the others. `{}` in the message takes the row's `value`."""
        mask = np.asarray(pc.fill_null(bad, False))
        if not mask.any():
            return self
        where = np.flatnonzero(mask)
        room = max(0, faults.limit - len(faults.sample))
        for i in where[:room]:
            text = message if value is None else message.format(repr(value[int(i)].as_py()))
            faults.add(self.file, int(self.lines[i]), text)
        faults.count += len(where) - min(room, len(where))
        return self.keep(pa.array(~mask))


def header(member: Member, *, delimiter: str = ",", encoding: str = "utf-8") -> list[str]:
    """The names of the columns: the first line. Empty for an empty or unreadable file."""
    for _, data in blocks(member, Faults()):
        text = io.StringIO(data[:HEADER_BYTES].decode(encoding, errors="replace"), newline="")
        try:
            names = next(csv.reader(text, delimiter=delimiter), [])
        except csv.Error:
            return []
        return [n.strip() for n in names]
    return []


def read(
    member: Member,
    faults: Faults,
    *,
    wanted: Sequence[str] | None = None,
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> Iterator[Block]:
    """Yield blocks of about 1 MiB of text. `wanted` limits the columns; names the file lacks are left out."""
    names = header(member, delimiter=delimiter, encoding=encoding)
    if len(set(names)) < len(names):  # a repeated name: the later ones get a number
        names = [n if names.index(n) == i else f"{n}#{i}" for i, n in enumerate(names)]
    chosen = [n for n in names if wanted is None or n in set(wanted)]
    plain = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "ascii"}
    slow = _Slow(member.name, names, chosen, delimiter, encoding, faults)
    for line, data in blocks(member, faults):
        if slow.rest:
            line, data = slow.line, slow.rest + data
        block = None
        if plain and b'"' not in data and not _odd_breaks(data) and _utf8(data):
            block = _fast(member.name, line, data, names, chosen, delimiter, faults, skip=slow.skip)
        if block is None:
            block = slow.read(line, data)
        else:
            slow.skip, slow.rest = False, b""
        if len(block.lines):
            yield block
    if slow.rest:
        last = slow.read(slow.line, slow.rest, final=True)
        if len(last.lines):
            yield last


def _utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _odd_breaks(data: bytes) -> bool:
    """Line breaks that Arrow would count otherwise than we do: blank lines and lone carriage returns."""
    returns = data.count(b"\r")
    return (
        data[:1] in b"\r\n" or b"\n\n" in data or (returns > 0 and (b"\n\r" in data or returns != data.count(b"\r\n")))
    )


def _fast(
    file: str, line: int, data: bytes, names: list[str], chosen: list[str], delimiter: str, faults: Faults, skip: bool
) -> Block | None:
    bad: list[tuple[int, int]] = []

    def invalid(row: arrow_csv.InvalidRow) -> str:
        bad.append((row.number, row.actual_columns))
        return "skip"

    if skip:
        data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
        line += 1
    if not data:
        return Block(file, pa.table({n: pa.array([], pa.string()) for n in chosen}), np.empty(0, np.int64))
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader(data),
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False, invalid_row_handler=invalid),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                include_columns=chosen,
                strings_can_be_null=True,
                null_values=[""],
            ),
        )
    except pa.ArrowInvalid:  # Arrow sees it otherwise: the slow way finds the line
        return None
    total = len(table) + len(bad)
    lines = np.arange(line, line + total, dtype=np.int64)
    for number, columns in bad:
        faults.add(file, line + number - 1, f"{columns} columns where the header has {len(names)}")
    if bad:
        lines = np.delete(lines, [number - 1 for number, _ in bad])
    return Block(file, table, lines)


_END = "\x00end of block\x00"


class _Slow:
    """Python's reader, block by block. `rest` (from `line`) is a record whose quotes are still open at a block's end;
    `skip` is True until the header has been passed."""

    def __init__(
        self, file: str, names: list[str], chosen: list[str], delimiter: str, encoding: str, faults: Faults
    ) -> None:
        self.file, self.names, self.chosen, self.faults = file, names, chosen, faults
        self.delimiter, self.encoding = delimiter, encoding
        self.rest, self.line, self.skip = b"", 1, True

    def read(self, line: int, data: bytes, final: bool = False) -> Block:
        """The records of a block. What is not closed at its end is kept for the next, up to `MAX_LINE` bytes."""
        raws = data.split(b"\n")
        if not raws[-1]:
            raws.pop()
        texts = [self._decoded(raw, line + i) for i, raw in enumerate(raws)]
        rows: list[list[str]] = []
        lines: list[int] = []
        at, self.rest = 0, b""
        while at < len(texts):
            at, is_open = self._records(line, texts, at, rows, lines)
            if is_open:
                rest = b"\n".join(raws[at:]) + (b"\n" if data.endswith(b"\n") else b"")
                if not final and len(rest) <= MAX_LINE:
                    self.rest, self.line = rest, line + at
                    break
                self.faults.add(self.file, line + at, "a quoted field is not closed")
                at += 1
        index = [self.names.index(n) for n in self.chosen]
        columns = [pa.array([r[i] or None for r in rows], pa.string()) for i in index]
        table = pa.Table.from_arrays(columns, names=self.chosen) if self.chosen else pa.table({})
        return Block(self.file, table, np.asarray(lines, np.int64))

    def _decoded(self, raw: bytes, line: int) -> str:
        try:
            return raw.decode(self.encoding) + "\n"
        except UnicodeDecodeError:
            self.faults.add(self.file, line, f"the line is not {self.encoding}")
            return "\n"

    def _records(
        self, line: int, texts: list[str], at: int, rows: list[list[str]], lines: list[int]
    ) -> tuple[int, bool]:
        """Read on from `texts[at:]` until one record swallows lines that are not its own. Gives where to go on, and
        whether the record there is still open at the end."""
        reader = csv.reader([*texts[at:], _END], delimiter=self.delimiter)
        count, begin, end = len(texts) - at, 0, 0
        while True:
            begin = end
            try:
                row = next(reader)
            except csv.Error as error:
                self.faults.add(self.file, line + at + begin, str(error))
                return at + begin + 1, False
            end = reader.line_num
            if end > count:
                return at + begin, begin < count
            if self.skip or not row:
                self.skip = self.skip and not row
            elif len(row) == len(self.names):
                rows.append(row)
                lines.append(line + at + begin)
            else:
                self.faults.add(
                    self.file, line + at + begin, f"{len(row)} columns where the header has {len(self.names)}"
                )
                if end - begin > 1:  # a quote that was never closed: the lines after it are records of their own
                    return at + begin + 1, False
