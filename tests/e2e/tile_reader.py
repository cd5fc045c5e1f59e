"""Reads a tile as a viewer reads it, and says what SQL over the lake gives for the same range and filter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.sync_api import Locator, Page, expect

from watling.contracts.model import Contract
from watling.dashboard.history.answers import bucket
from watling.dashboard.history.filter import Filter, condition
from watling.dashboard.history.tiles import Tile
from watling.query.sql import LakeSql

WAIT_MS = 20_000
PAGE_ROWS = 100
SETTLED = re.compile("^(live|quiet|past|empty|absent|failed)$")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec")


def expected(
    sql: LakeSql, tile: Tile, contracts: Mapping[str, Contract], wanted: Filter, where: str, fits: set[str]
) -> list[dict[str, Any]]:
    """Rows of the tile's SQL over `watling sql`'s own tables; of streams that do not fit the filter, none."""
    during = f"epoch_ms(event_time) >= {wanted.start_ms} AND epoch_ms(event_time) < {wanted.end_ms}"
    streams = tile.reads(tuple(contracts))
    views = ", ".join(
        f"{s} AS (SELECT * FROM main.{s} WHERE {during} AND {where if s in fits else 'FALSE'})" for s in streams
    )
    text = tile.sql.replace("$bucket", f"INTERVAL '{bucket(wanted).total_seconds()} seconds'")
    rows: list[dict[str, Any]] = []
    for stream in [s for s in streams if s in fits] if tile.each else streams[:1]:
        mine = text.replace("$stream", f"'{stream}'").replace("FROM entry", f"FROM {stream}")
        rows += sql.execute(f"WITH {views} FROM ({mine})").rows.to_pylist()
    return rows


def fitting(contracts: Mapping[str, Contract], wanted: Filter) -> set[str]:
    """Streams that have the columns that the filter asks about."""
    return {name for name, contract in contracts.items() if condition(wanted, contract) is not None}


def box(page: Page, name: str) -> Locator:
    """The tile, brought into view and settled."""
    tile = page.locator(f"article[data-tile={name}]")
    tile.scroll_into_view_if_needed(timeout=WAIT_MS)
    expect(tile).to_have_attribute("data-state", SETTLED, timeout=WAIT_MS)
    return tile


def read(page: Page, tile: Tile) -> list[list[str]]:
    """The cells that the tile shows: of a KPI its numbers, else the rows of its table or table twin."""
    shown = box(page, tile.id)
    if tile.kind == "kpi":
        return [shown.locator(".body [data-value]").all_inner_texts()]
    twin = shown.get_by_role("button", name=f"Show {tile.title} as a table")
    if twin.count():
        twin.click()
    rows: list[list[str]] = shown.locator("tbody tr").evaluate_all(
        "rows => rows.map(r => [...r.cells].map(c => c.innerText.trim()))"
    )
    return rows


def same(shown: str, true: Any) -> bool:
    """Whether a viewer who reads this learns that value."""
    if true is None:
        return shown == "–"
    if isinstance(true, datetime):
        at = (true + timedelta(microseconds=true.microsecond % 1000)).astimezone(UTC)
        clock = at.strftime("%H:%M:%S")
        return shown in (clock, f"{at.day:02} {MONTHS[at.month - 1]} {at.year}, {clock}")
    if isinstance(true, bool | str):
        return shown == str(true)
    text = shown.split(" ")[0].replace(",", "").replace("−", "-")
    try:
        return abs(float(text) - float(true)) <= (0.051 if "." in text and len(text.split(".")[1]) == 1 else 0.0051)
    except ValueError:
        return False
