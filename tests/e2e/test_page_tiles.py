"""The page's tiles in a real browser: each number is SQL's for the same range, and each says how far it can be trusted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import pairwise
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.conftest import free_port
from tests.e2e.made_up_city import MadeUpCity
from tests.e2e.recorded_city import RecordedCity
from tests.e2e.test_accessible import AXE, SETTLED_MS, SHAPES, faults
from tests.e2e.tile_reader import PAGE_ROWS, WAIT_MS, box, expected, fitting, read, same
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import MINUTE_MS, START_MS, VariedLake
from watling.contracts import load_contracts
from watling.dashboard import create_app
from watling.dashboard.history.filter import Filter
from watling.dashboard.history.tiles import BUILTIN, TileFiles
from watling.dashboard.serve import address
from watling.query.sql import LakeSql, open_lake

pytestmark = pytest.mark.e2e
WATCH_REQUESTS = """() => {
  const [real, under_way] = [window.fetch, {}];
  window.most = {};
  window.fetch = (resource, options) => {
    const name = String(resource).split("?")[0];
    const one = { signal: options?.signal, ended: false };
    const waiting = (under_way[name] ?? []).filter((o) => !o.ended && !o.signal?.aborted);
    under_way[name] = [...waiting, one];
    if (/\\/api\\/tiles\\/./.test(name)) window.most[name] = Math.max(window.most[name] ?? 0, waiting.length + 1);
    return real(resource, options).finally(() => { one.ended = true; });
  };
}"""
"""`window.most`: {tile's route: the most requests to it that were neither answered nor given up at once}."""
PLACE = "e => { const {x, y, width, height} = e.getBoundingClientRect(); return {x, y, width, height}; }"
HOUR = f"from={START_MS}&to={START_MS + 60 * MINUTE_MS}"


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> VariedLake:
    home = tmp_path_factory.mktemp("tiles") / "home"
    return VariedLake(home, page={"port": free_port()}, broker={"port": free_port()})


@pytest.fixture(scope="module")
def sql(lake: VariedLake) -> Iterator[LakeSql]:
    with closing(open_lake(lake.settings, lake.catalog)) as found:
        yield found


@pytest.fixture(scope="module")
def site(lake: VariedLake) -> Iterator[str]:
    """A page over that lake, with a city that moves."""
    city = MadeUpCity(vehicles=40, hz=1)
    with served_app(lake.settings, create_app(lake.settings, contracts=lake.contracts, status=city, feeds=[city])):
        yield address(lake.settings)


def check_all(
    page: Page, sql: LakeSql, contracts: Any, wanted: Filter, *, inside: str = "TRUE", among: str = "TRUE"
) -> int:
    """Compare every tile with SQL; gives how many charts and tables held rows. `inside` is the filter's area in SQL,
    `among` its values: bars and slices leave those of their own column out."""
    held = 0
    for tile in TileFiles(BUILTIN.with_name("none"), contracts).read().tiles.values():
        own = tile.kind in ("bars", "pie") and tile.by in {column for column, _ in wanted.where}
        meant = replace(wanted, where=()) if own else wanted
        fits = fitting(contracts, meant) & set(tile.reads(tuple(contracts)))
        if not fits:
            expect(box(page, tile.id)).to_have_attribute("data-state", "absent")
            continue
        rows = expected(sql, tile, contracts, wanted, inside if own else f"{inside} AND {among}", fits)
        shown = read(page, tile)
        assert len(shown) == min(PAGE_ROWS, len(rows)), tile.id
        for seen, true in zip(shown, rows, strict=False):
            told = {k: v for k, v in true.items() if tile.kind != "kpi" or k not in contracts or k in fits}
            assert all(same(a, b) for a, b in zip(seen, told.values(), strict=True)), (tile.id, seen, told)
        held += bool(rows) and tile.kind != "kpi"
    return held


@pytest.mark.parametrize("narrow", [False, True], ids=["all", "narrow"])
def test_every_tile_says_what_sql_says(lake: VariedLake, sql: LakeSql, site: str, open_page: Any, narrow: bool) -> None:
    """A number on the wall display is the number that `watling sql` gives for the same range and filter."""
    wanted = Filter(START_MS, START_MS + 60 * MINUTE_MS)
    if not narrow:
        assert check_all(open_page(f"{site}?{HOUR}"), sql, lake.contracts, wanted) >= 15
        return
    page = open_page(f"{site}?{HOUR}&area=-0.4,51.55,-0.15,51.7&where=make:BMW&where=make:Kia")
    wanted = replace(wanted, area=(-0.4, 51.55, -0.15, 51.7), where=(("make", ("BMW", "Kia")),))
    inside = "latitude BETWEEN 51.55 AND 51.7 AND longitude BETWEEN -0.4 AND -0.15"
    assert check_all(page, sql, lake.contracts, wanted, inside=inside, among="make IN ('BMW', 'Kia')") >= 7


@pytest.mark.integration
@pytest.mark.timeout(300)
def test_recordings_show_what_sql_says_of_them(recorded: RecordedCity, open_page: Any) -> None:
    """What real devices sent, through broker, pipeline and lake, must arrive on the screen as it landed."""
    contracts = load_contracts(None)
    with closing(open_lake(recorded.settings)) as sql:
        spans = sql.execute(
            "SELECT epoch_ms(min(event_time)) - 1000 AS first, epoch_ms(max(event_time)) + 1000 AS last FROM vehicle "
            "UNION ALL SELECT epoch_ms(min(event_time)) - 1000, epoch_ms(max(event_time)) + 1000 FROM traffic "
            "UNION ALL SELECT epoch_ms(min(event_time)) - 1000, epoch_ms(max(event_time)) + 1000 FROM weather"
        ).rows.to_pylist()
        held = 0
        for span in spans:
            wanted = Filter(span["first"], span["last"])
            page = open_page(f"{recorded.address}?from={wanted.start_ms}&to={wanted.end_ms}")
            held += check_all(page, sql, contracts, wanted)
        assert held >= 14  # vehicles in one range, counters in another, air and incidents in the third


def test_a_bar_is_drawn_as_high_as_its_number(site: str, sql: LakeSql, open_page: Any) -> None:
    """The drawing must show the same numbers as the table beside it."""
    page = open_page(f"{site}?{HOUR}")
    during = f"epoch_ms(event_time) >= {START_MS} AND epoch_ms(event_time) < {START_MS + 60 * MINUTE_MS}"
    counts = sql.execute(f"SELECT make, count(*) AS n FROM vehicle WHERE {during} AND make IS NOT NULL GROUP BY 1").rows
    said = box(page, "by_make").get_by_role("img")
    for row in counts.to_pylist():
        expect(said).to_have_attribute("aria-label", re.compile(rf"\b{row['make']} {row['n']}\b"), timeout=WAIT_MS)


def test_lines_of_several_units_have_a_panel_each_and_one_cursor(site: str, open_page: Any) -> None:
    """Nobody may read °C off an axis that is drawn for %, and a moment pointed at is the same moment in all."""
    page = open_page(f"{site}?{HOUR}")
    expect(box(page, "vehicles_over_time").locator(".uplot")).to_have_count(1, timeout=WAIT_MS)
    weather = box(page, "weather_over_time")
    plots = weather.locator(".uplot")
    expect(plots).to_have_count(4, timeout=WAIT_MS)
    assert weather.locator(".frame").evaluate("e => e.scrollHeight <= e.clientHeight")
    places: list[dict[str, float]] = [plots.nth(i).locator(".u-over").evaluate(PLACE) for i in range(4)]
    assert len({(p["x"], p["width"], p["height"]) for p in places}) == 1  # the same times, one below the other
    assert all(a["y"] + a["height"] < b["y"] for a, b in pairwise(places))
    page.mouse.move(places[1]["x"] + places[1]["width"] * 0.4, places[1]["y"] + 10)
    moment = plots.first.locator(".u-legend tr").first
    expect(moment).not_to_contain_text("12:11:30")  # the last one, which it says while nobody points
    said = [moment.inner_text().strip()[-8:]]
    said += [plots.nth(i).locator(".u-legend tr").nth(1).inner_text() for i in range(4)]
    weather.get_by_role("button", name="Show Weather over time as a table").click()
    row = weather.locator("tbody tr", has_text=said[0]).locator("td").all_inner_texts()
    names = {"temperature": "°C", "humidity": "%", "wind": "km/h", "rain": "mm"}
    for line, value, (name, unit) in zip(said[1:], row[1:], names.items(), strict=True):
        assert re.fullmatch(rf"{name}\W*" + re.escape(value if value == "–" else f"{value} {unit}"), line), (said, row)
    weather.get_by_role("button", name="Show Weather over time as a chart").click()
    expect(plots).to_have_count(4)
    page.mouse.move(places[2]["x"] + places[2]["width"] * 0.2, places[2]["y"] + 10)
    page.mouse.down()
    page.mouse.move(places[2]["x"] + places[2]["width"] * 0.6, places[2]["y"] + 10, steps=4)
    page.mouse.up()
    page.wait_for_url(lambda url: HOUR not in url, timeout=WAIT_MS)
    expect(weather.locator(".u-select")).to_have_count(4, timeout=WAIT_MS)
    assert weather.locator(".u-select").evaluate_all("all => all.every(e => e.clientWidth === 0)")


def test_states_of_a_tile_look_different(lake: VariedLake, site: str, open_page: Any) -> None:
    """Whoever glances at a tile must see whether its number is of now, of the past, not there, or not to be had."""
    nothing = f"from={START_MS - 100 * MINUTE_MS}&to={START_MS - 50 * MINUTE_MS}"
    page = open_page(f"{site}?{nothing}")
    speed = box(page, "mean_speed")
    expect(speed).to_have_attribute("data-state", "empty")
    expect(speed.locator("[data-value=mean]")).to_have_text("–")  # a mean of nothing is not 0
    expect(box(page, "vehicles_seen").locator("[data-value=vehicles]")).to_have_text("0")  # none was heard: a fact
    page = open_page(f"{site}?{HOUR}&where=weather_condition:Rain")
    expect(box(page, "mean_speed")).to_have_attribute("data-state", "absent")
    expect(box(page, "mean_speed").locator(".main strong")).to_have_text("–")
    expect(box(page, "by_weather")).to_have_attribute("data-state", "past")
    looks = {
        state: box(page, name).evaluate("e => getComputedStyle(e).borderTopStyle + getComputedStyle(e).backgroundImage")
        for state, name in (("absent", "mean_speed"), ("past", "by_weather"))
    }
    assert looks["absent"] != looks["past"]


def test_the_users_file_adds_tiles_while_one_looks(lake: VariedLake, site: str, open_page: Any) -> None:
    """Tiles are data: a change of the file shows without a reload, a fault in it is told, and a tile that fails says why."""
    own = lake.settings.home / "tiles.yaml"
    page = open_page(f"{site}?{HOUR}", noise=("504", "422", "400", "Failed to load resource"))
    expect(page.locator("article[data-tile=by_make]")).to_be_attached(timeout=WAIT_MS)
    try:
        own.write_text(
            "tiles:\n- {id: by_make, hide: true}\n"
            "- {id: mine, title: Mine, kind: kpi, streams: [gps], order: -1, sql: SELECT count(*) AS n FROM gps}\n"
            "- {id: wrong, title: Wrong, kind: kpi, streams: [gps], order: 0, sql: SELECT nothing FROM gps}\n"
        )
        expect(page.locator("article[data-tile=by_make]")).to_have_count(0, timeout=WAIT_MS)
        expect(box(page, "mine").locator("[data-value=n]")).to_have_text("240")
        wrong = box(page, "wrong")
        expect(wrong).to_have_attribute("data-state", "failed")
        expect(wrong).to_contain_text("nothing")
        own.write_text("tiles: soon")
        expect(page.get_by_role("alert")).to_contain_text("tiles.yaml", timeout=WAIT_MS)
        expect(page.locator("article[data-tile=mine]")).to_have_count(1)
    finally:
        own.unlink()


def test_live_tiles_follow_the_lake(lake: VariedLake, site: str, open_page: Any) -> None:
    """Live means that a row that lands is counted within seconds, without a reload and without a blank between."""
    page = open_page(f"{site}?last=365d")
    number = box(page, "vehicles_seen").locator("[data-value=reports]")
    before = number.inner_text()
    page.evaluate(
        """() => {
          window.blanks = 0;
          const tile = document.querySelector('article[data-tile=vehicles_seen]');
          new MutationObserver(() => {
            const shown = tile.querySelector('[data-value=reports]');
            if (!shown || shown.textContent.trim() === '–') window.blanks++;
          }).observe(tile, {subtree: true, childList: true, characterData: true});
        }"""
    )
    end = lake.ends["vehicle"]
    lake.put("vehicle", [{**lake.row("vehicle", 7), "id": f"late-{end}", "_kafka_offset": 2000 + end}])
    expect(number).not_to_have_text(before, timeout=WAIT_MS)
    assert int(number.inner_text().replace(",", "")) == int(before.replace(",", "")) + 1
    assert page.evaluate("window.blanks") == 0


def test_nothing_is_asked_out_of_sight(site: str, open_page: Any) -> None:
    """A page left open in many tabs must not work the lake for tiles that nobody sees."""
    page = open_page(f"{site}?{HOUR}")
    box(page, "entries")
    asked = page.evaluate("() => performance.getEntriesByType('resource').map(e => e.name)")
    assert not [name for name in asked if "/api/tiles/incident_rows" in name]
    assert not [name for name in asked if "echarts" in name]  # the heavy part waits for the first bar in sight
    assert [name for name in asked if "/api/tiles/entries?" in name]


def test_a_tile_has_one_request_on_its_way(site: str, open_page: Any) -> None:
    """A filter that is changed quickly must not leave a queue of questions that nobody waits for."""
    page = open_page(f"{site}?{HOUR}")
    box(page, "entries")
    page.evaluate(WATCH_REQUESTS)  # the browser reports the end of a given-up one at any time
    for label in ("1 hour", "6 hours", "24 hours", "15 min", "5 min"):
        page.get_by_role("button", name=f"Last {label}").click()
    expect(box(page, "entries")).to_have_attribute("data-state", re.compile("live|quiet|empty"), timeout=WAIT_MS)
    most = page.evaluate("window.most")
    assert most
    assert max(most.values()) == 1, json.dumps(most)


def test_an_odd_value_of_a_link_breaks_nothing(site: str, open_page: Any) -> None:
    """A link is text from outside: whatever it holds is a filter or nothing, never a script and never SQL."""
    odd = quote("x'; DROP TABLE vehicle; --<img src=x onerror=alert(1)>", safe="")
    page = open_page(f"{site}?{HOUR}&where=make:{odd}")
    expect(box(page, "vehicles_seen")).to_have_attribute("data-state", "empty")
    expect(page.get_by_role("button", name=re.compile("^Remove make: x'; DROP"))).to_be_visible()


@pytest.mark.skipif(not AXE.is_file(), reason="axe-core is not installed: tools/build_page.py")
def test_tiles_and_the_filter_have_no_serious_fault_for_assistive_technology(site: str, open_page: Any) -> None:
    """Charts, table twins, chips and the form of a range must be read and worked without sight or mouse too."""
    page = open_page(f"{site}?{HOUR}&where=make:BMW&area=-0.5,51.4,0,52")
    for name in ("mean_speed", "speed_by_road", "speed_spread", "by_make", "by_fuel", "vehicle_rows", "by_weather"):
        box(page, name)
    box(page, "by_fuel").get_by_role("button", name="Show By fuel as a table").click()
    page.get_by_label("Filter", exact=True).get_by_role("button", name=re.compile("2026.* to ")).click()
    for theme, width in SHAPES:
        page.set_viewport_size({"width": width, "height": 900})
        page.get_by_role("button", name=theme, exact=True).click()
        page.wait_for_timeout(SETTLED_MS)
        assert faults(page) == [], (theme, width)


def test_a_server_that_is_away_and_back_blanks_no_tile(lake: VariedLake, open_page: Any) -> None:
    """While the server restarts the wall keeps its last numbers and says that they are that; then it goes on by itself."""
    settings = lake.settings.model_copy(update={"page": lake.settings.page.model_copy(update={"port": free_port()})})

    def served() -> Any:
        city = MadeUpCity(vehicles=20, hz=1)
        return served_app(settings, create_app(settings, contracts=lake.contracts, status=city, feeds=[city]))

    with served():
        page = open_page(f"{address(settings)}?last=365d", noise=("Failed to load resource",))
        number = box(page, "vehicles_seen").locator("[data-value=vehicles]")
        expect(number).to_have_text("20", timeout=WAIT_MS)
    tile = page.locator("article[data-tile=vehicles_seen]")
    expect(tile).to_have_attribute("data-state", "disconnected", timeout=WAIT_MS)
    expect(number).to_have_text("20")
    with served():
        expect(tile).to_have_attribute("data-state", re.compile("live|quiet"), timeout=2 * WAIT_MS)
        expect(number).to_have_text("20")
