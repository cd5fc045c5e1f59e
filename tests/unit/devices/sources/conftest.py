"""Recordings for the tests of the adapters; those of ../shared/data are skipped where that folder is absent."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from watling.devices.replay import replay
from watling.devices.sources import Faults

DATA = Path(__file__).parents[5] / "shared" / "data"

Read = Callable[..., tuple[dict[str, list[dict[str, Any]]], Faults]]


@pytest.fixture
def data() -> Path:
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    return DATA


@pytest.fixture
def read() -> Read:
    """Replay at once and give the decoded records by stream, with `_key` and `_due`, and the faults."""

    def run(source: str, *paths: Path, **options: Any) -> tuple[dict[str, list[dict[str, Any]]], Faults]:
        faults = options.pop("faults", Faults())
        found: dict[str, list[dict[str, Any]]] = {}
        for batch in replay(source, list(paths), speed="max", faults=faults, **options):
            for row in batch.records.to_pylist():
                record = json.loads(row["value"])
                found.setdefault(batch.stream, []).append({**record, "_key": row["key"].decode(), "_due": row["due"]})
        return found, faults

    return run
