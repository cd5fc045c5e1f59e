"""Two replays at once over a small lake: a person at the page and a timer, each without knowing of the other."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.integration.dashboard.lake_page import LakePage
from watling.contracts import load_contracts
from watling.lake.state import read_state
from watling.lake.tables import load_table
from watling.pipeline import replay as room
from watling.pipeline.replay import replay
from watling.query.sql import open_lake

pytestmark = pytest.mark.integration


def test_a_record_lands_once_whoever_replays_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a window of deduplication ids catch nothing: the place in the topic must, or the record stands twice."""
    page = LakePage(tmp_path / "home", too_fast=4)
    text = resources.files("watling.contracts").joinpath("builtin/vehicle.odcs.yaml").read_text()
    text = text.replace("{minimum: 0, maximum: 400}", "{minimum: 0, maximum: 600}", 1)
    text = text.replace("dedupWindowSeconds, value: 3600", "dedupWindowSeconds, value: 0", 1)
    (page.contracts_dir / "vehicle.odcs.yaml").write_text(text)
    contracts = {"vehicle": load_contracts(page.contracts_dir)["vehicle"]}
    assert contracts["vehicle"].dedup_window_s == 0
    write_rows, others = room.write_rows, []

    def written_after_another(*asked: Any) -> Any:
        if not others:
            others.append(None)
            others.append(replay(page.lake.catalog, page.settings, contracts))
        return write_rows(*asked)

    monkeypatch.setattr(room, "write_rows", written_after_another)
    mine = replay(page.lake.catalog, page.settings, contracts)
    assert (others[1].landed, mine.landed, mine.already) == (4, 0, 4)
    assert mine.remaining == {"not_json": 6}
    sql = open_lake(page.settings)
    counted = "SELECT count(*) AS rows, count(DISTINCT id) AS ids FROM vehicle WHERE id LIKE 'fast-%'"
    assert sql.execute(counted).rows.to_pylist() == [{"rows": 4, "ids": 4}]
    still = "SELECT count(*) AS n FROM quarantine WHERE reason = 'out_of_range' AND released_at IS NULL"
    assert sql.execute(still).rows.to_pylist() == [{"n": 0}]
    sql.close()
    table = load_table(page.lake.catalog, page.settings, "vehicle")
    assert table is not None
    assert read_state(table).total("landed") == 3 * (10 + 8) + 4
