"""The explore and the operations view in a browser, over a real lake: what they show is what the lake holds."""

from __future__ import annotations

import csv
import io
import json
import re
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from tests.integration.dashboard.lake_page import LakePage, served_lake
from watling.audit import keep_verdict, run_audit
from watling.query.sql import LakeSql, open_lake

pytestmark = pytest.mark.e2e
BY_MAKE = "select make, count(*) as events, round(avg(speed_kmh), 1) as kmh from vehicle group by make order by make nulls last"
SLOW = "select count(*) from range(100000000000) t(i) where i % 7 = 3"
WAIT_MS = 20_000


@pytest.fixture
def city(tmp_path: Path) -> Iterator[LakePage]:
    with served_lake(LakePage(tmp_path / "home")) as found:
        yield found


@pytest.fixture
def lake(city: LakePage) -> Iterator[LakeSql]:
    sql = open_lake(city.settings)
    yield sql
    sql.close()


def run(page: Page, sql: str) -> None:
    """Type a query and run it by the keyboard."""
    page.get_by_label("SQL", exact=True).fill(sql)
    page.keyboard.press("Control+Enter")


def cells(page: Page) -> list[list[str]]:
    """The result's table as the viewer reads it."""
    table = page.get_by_role("group", name="Result")
    return [[c.inner_text() for c in row.locator("td").all()] for row in table.locator("tbody tr").all()]


def test_rows_are_those_of_sql_and_both_files_hold_them(
    city: LakePage, lake: LakeSql, open_page: Any, tmp_path: Path
) -> None:
    """What a viewer reads, draws and takes home must be the answer that `watling sql` gives."""
    page = open_page(f"{city.address}/?view=explore")
    run(page, BY_MAKE)
    expect(page.locator('[data-value="summary"]')).to_contain_text("4 rows", timeout=WAIT_MS)
    expected = lake.execute(BY_MAKE).rows.to_pylist()
    assert cells(page) == [["–" if v is None else f"{v:g}" if v != str(v) else v for v in r.values()] for r in expected]
    chart = page.get_by_role("img", name=re.compile("events by make"))  # drawn without being asked
    expect(chart).to_have_attribute("aria-label", re.compile("BMW 10; .*not known 24"), timeout=WAIT_MS)
    files = {}
    for name in ("CSV", "Parquet"):
        with page.expect_download(timeout=WAIT_MS) as download:
            page.get_by_role("button", name=name).click()
        files[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(files[name])
        expect(page.get_by_text("was saved")).to_be_visible()
        page.wait_for_timeout(1100)  # the next file's name has another second in it
    assert pq.read_table(files["Parquet"]).to_pylist() == expected
    rows = list(csv.DictReader(io.StringIO(files["CSV"].read_text())))
    assert [int(r["events"]) for r in rows] == [r["events"] for r in expected]


def test_a_link_reopens_the_query_and_does_not_run_it(city: LakePage, open_page: Any) -> None:
    """A link must bring a colleague the same question and view, and must not work the lake before they ask."""
    page = open_page(f"{city.address}/?view=explore")
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if r.url.endswith("/api/sql") else None)
    run(page, BY_MAKE)
    page.get_by_role("button", name="Pie").click()
    page.wait_for_url(re.compile("chart=pie"))
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(page.url).query)["sql"] == [BY_MAKE]
    assert len(asked) == 1
    page.reload()
    expect(page.get_by_label("SQL", exact=True)).to_have_value(BY_MAKE)
    expect(page.get_by_text("has not run yet")).to_be_visible()
    page.wait_for_timeout(300)
    assert len(asked) == 1
    page.get_by_role("button", name="Run", exact=True).click()
    expect(page.get_by_role("button", name="Pie")).to_have_attribute("aria-pressed", "true", timeout=WAIT_MS)
    expect(page.locator("aside")).to_contain_text("select make")  # and it is among the last queries


def test_faults_cuts_and_stops_are_said(city: LakePage, open_page: Any) -> None:
    """A wrong query says what is wrong, a long one can be stopped, a cut answer does not look whole."""
    page = open_page(f"{city.address}/?view=explore", noise=("status of 422",))
    run(page, "select * from vehicles")
    expect(page.get_by_role("alert")).to_contain_text("there is no table vehicles", timeout=WAIT_MS)
    run(page, SLOW)
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("alert")).to_contain_text("Stopped", timeout=WAIT_MS)
    page.get_by_label("Rows at most").select_option("100")
    run(page, "from range(101)")
    expect(page.get_by_text("The first 100 rows: there are more")).to_be_visible(timeout=WAIT_MS)


def test_names_insert_and_every_example_runs(city: LakePage, open_page: Any) -> None:
    """A newcomer's first click must not end in an error."""
    page = open_page(f"{city.address}/?view=explore")
    editor = page.get_by_label("SQL", exact=True)
    editor.fill("select count(*) from")
    page.locator("summary", has_text=re.compile("^gps")).click()
    page.get_by_role("button", name="Insert gps", exact=True).click()
    expect(editor).to_have_value("select count(*) from gps")
    examples = page.locator('section[aria-labelledby="explore-examples"] button')
    assert examples.count() >= 5
    for button in examples.all():
        button.click()
        with page.expect_response(re.compile("/api/sql$"), timeout=WAIT_MS) as answer:
            page.keyboard.press("Control+Enter")
        assert answer.value.status == 200, (button.inner_text(), answer.value.text())


def test_replay_lands_what_now_fits(city: LakePage, lake: LakeSql, open_page: Any) -> None:
    """Whoever widened a contract must see, from one confirmed click, the records leave quarantine for the lake."""
    page = open_page(f"{city.address}/?view=operations")
    group = page.locator('[data-group="vehicle.out_of_range"]')
    expect(group.locator('[data-value="records"]')).to_have_text("3", timeout=WAIT_MS)
    group.locator("summary").click()
    raw = group.locator("code").first.inner_text()
    assert json.loads(raw)["make"] == "<b>BMW</b>"  # shown as it came, and not taken for HTML
    city.write_contract(maximum=600)
    group.get_by_role("button", name="Replay").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 records (vehicle, Out of range)")
    dialog.get_by_role("button", name="Cancel").click()
    assert lake.execute("from vehicle where speed_kmh = 512").rows.num_rows == 0
    group.get_by_role("button", name="Replay").click()
    dialog.get_by_role("button", name="Replay").click()
    expect(page.locator('[data-part="job"]')).to_contain_text("3 looked at, 3 landed", timeout=WAIT_MS)
    expect(group).to_have_count(0, timeout=WAIT_MS)
    assert lake.execute("from vehicle where speed_kmh = 512").rows.num_rows == 3
    expect(page.locator('article[data-stream="vehicle"] [data-value="rows"]')).to_have_text("57", timeout=WAIT_MS)


def test_streams_and_the_audit_are_as_the_lake_says(city: LakePage, lake: LakeSql, open_page: Any) -> None:
    """The numbers of whoever is on call are the lake's own, and a fault found by the audit stands in words."""
    city.lake.remove("gps", "_kafka_offset = 3")
    keep_verdict(city.settings, run_audit(city.settings, contracts=city.lake.contracts, look_again_s=0.0))
    page = open_page(f"{city.address}/?view=operations")
    for stream in ("vehicle", "gps"):
        rows = lake.execute(f"select count(*) as n from {stream}").rows.to_pylist()[0]["n"]
        shown = page.locator(f'article[data-stream="{stream}"] [data-value="rows"]')
        expect(shown).to_have_text(str(rows), timeout=WAIT_MS)
    audit = page.locator('[data-part="audit"]')
    expect(audit.locator('[data-value="verdict"]')).to_contain_text("1 to look at")
    expect(audit).to_contain_text("1 missing in partition 0")
    expect(page.locator('[data-part="broker"]')).to_contain_text("stopped", timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("Show the commits of GPS")).click()
    expect(page.get_by_role("heading", name="Newest commits of GPS")).to_be_visible()
    assert audit.get_by_role("button", name="Run it again").is_enabled()
