"""Tiles from YAML: the page's own, the user's over them, and what is said of a file that is no good."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watling.contracts import builtin_contracts
from watling.dashboard.history.tiles import TileFiles

CONTRACTS = builtin_contracts()


def write(path: Path, text: str, when: int) -> None:
    path.write_text(text)
    os.utime(path, (when, when))


def test_every_widget_is_there(tmp_path: Path) -> None:
    """A control room that comes from the seed misses none of its widgets."""
    found = TileFiles(tmp_path / "tiles.yaml", CONTRACTS).read()
    assert not found.problems
    kinds = {t.id: t.kind for t in found.tiles.values()}
    assert kinds["entries"] == kinds["mean_speed"] == kinds["incidents"] == "kpi"
    assert kinds["entries_by_stream"] == kinds["speed_by_road"] == kinds["incidents_by_type"] == "bars"
    assert kinds["vehicles_over_time"] == kinds["weather_over_time"] == kinds["incidents_over_time"] == "line"
    assert {"by_make", "by_fuel", "by_vehicle_type", "by_weather", "by_status"} == {
        i for i, k in kinds.items() if k == "pie"
    }
    assert sum(k == "table" for k in kinds.values()) == len(CONTRACTS)


def test_a_users_file_changes_adds_and_hides(tmp_path: Path) -> None:
    """An edit shows at the next look, without a restart."""
    path = tmp_path / "tiles.yaml"
    files = TileFiles(path, CONTRACTS)
    assert "by_make" in files.read().tiles
    own = """
    tiles:
      - {id: by_make, hide: true}
      - {id: mean_speed, title: Speed, layout: {w: 12, h: 1}}
      - {id: slow, title: Slow, kind: kpi, streams: [vehicle], order: -1, sql: 'SELECT count(*) AS n FROM vehicle WHERE speed_kmh < 5'}
    """
    write(path, own, 1_000)
    found = files.read()
    assert not found.problems
    assert "by_make" not in found.tiles
    assert found.tiles["mean_speed"].title == "Speed"
    assert found.tiles["mean_speed"].unit == "km/h"
    assert next(iter(found.tiles)) == "slow"
    path.unlink()
    assert "by_make" in files.read().tiles


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tiles: [", "expected"),
        ("tiles: 5", "list of tiles"),
        ("tiles: [{title: x}]", "id"),
        ("tiles: [{id: x, title: x, kind: cake, streams: [gps], sql: select 1}]", "kind"),
        ("tiles: [{id: x, title: x, kind: kpi, streams: [boats], sql: select 1}]", "no stream boats"),
        ("tiles: [{id: x, title: x, kind: kpi, streams: [gps], sql: drop table gps}]", "only reads"),
        ("tiles: [{id: x, title: x, kind: kpi, streams: [gps], sql: select from where}]", "sql"),
        ("tiles: [{id: x, title: x, kind: kpi, streams: [gps], sql: select 1, colour: red}]", "colour"),
        ("tiles: !!python/object/apply:os.system [id]", "tiles"),
    ],
)
def test_a_bad_file_is_told_and_the_last_good_one_stays(tmp_path: Path, text: str, said: str) -> None:
    """A slip in the file must not empty the wall display."""
    path = tmp_path / "tiles.yaml"
    files = TileFiles(path, CONTRACTS)
    write(path, "tiles: [{id: by_make, title: Marques}]", 1_000)
    assert files.read().tiles["by_make"].title == "Marques"
    write(path, text, 2_000)
    found = files.read()
    assert found.tiles["by_make"].title == "Marques"
    assert len(found.problems) == 1
    assert said in found.problems[0]
