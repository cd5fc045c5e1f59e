"""Tables of text: whatever stands in the cells, each row keeps its cells and its line."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st

from watling.devices.sources import table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import of_bytes

# csv.writer leaves a carriage return bare, which no reader can tell from the end of a line
CELL = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=12)
ROWS = st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=30)


def written(rows: list[list[str]], ending: str) -> tuple[bytes, list[int]]:
    """The rows as CSV, and the line each begins at."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=ending)
    writer.writerow(["a", "b", "c"])
    lines = []
    for row in rows:
        lines.append(out.getvalue().count("\n") + 1)
        writer.writerow(row)
    return out.getvalue().encode(), lines


def read(data: bytes, block: int) -> tuple[list[list[str | None]], list[int], Faults]:
    faults = Faults()
    rows: list[list[str | None]] = []
    lines: list[int] = []
    with mock.patch("watling.devices.sources.lines.BLOCK", block):
        for part in table.read(of_bytes("t.csv", data), faults):
            rows.extend(map(list, zip(*(part.column(n).to_pylist() for n in ("a", "b", "c")), strict=True)))
            lines.extend(part.lines.tolist())
    return rows, lines, faults


@settings(deadline=None, max_examples=200)
@given(ROWS, st.sampled_from(["\n", "\r\n"]), st.sampled_from([7, 64, 1_000_000]))
def test_cells_and_lines_survive(rows: list[list[str]], ending: str, block: int) -> None:
    """A comma, quote or line break in a cell would shift the cells after it, or the line that a fault names."""
    data, lines = written(rows, ending)
    found, at, faults = read(data, block)
    assert found == [[cell or None for cell in row] for row in rows]
    assert at == lines
    assert faults.count == 0


@settings(deadline=None, max_examples=200)
@given(
    ROWS,
    st.lists(st.binary(max_size=40), max_size=5),
    st.randoms(use_true_random=False),
    st.sampled_from([7, 64, 1_000_000]),
)
def test_garbage_never_raises_nor_hides_what_comes_before(
    rows: list[list[str]], garbage: list[bytes], random: object, block: int
) -> None:
    """One damaged place would end the replay of the file."""
    data, _ = written(rows, "\n")
    found, _, _ = read(data + b"\n".join(garbage), block)
    assert found[: len(rows)] == [[cell or None for cell in row] for row in rows]


def test_a_folder_of_files_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    """A replay would differ from machine to machine."""
    from watling.devices.sources.files import members

    for name in ("b.csv", "a.CSV.gz", "sub/c.csv", "x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"a\n")
    assert [Path(m.name).name for m in members([tmp_path], (".csv",))] == ["a.CSV.gz", "b.csv", "c.csv"]
