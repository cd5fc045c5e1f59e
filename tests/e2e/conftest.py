"""What the page's tests share: a headless Chromium, and a page that fails on any console error or foreign request."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.conftest import free_port
from tests.e2e.made_up_city import MadeUpCity, served
from tests.e2e.recorded_city import RecordedCity, recorded_city, recordings_missing
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import VariedLake
from watling.dashboard import create_app
from watling.dashboard.serve import address

FLAGS = (
    "--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --use-angle=swiftshader --enable-unsafe-swiftshader"
)
KNOWN_NOISE = ("GL Driver Message", "net::ERR_CONNECTION_REFUSED", "WebSocket connection to")
"""A software renderer's remarks, and what a browser itself says when the test takes the server away."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. Where there is none the tests are skipped, in CI they fail."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no chromium: the page's tests must run in CI (apt-get install chromium)")
        pytest.skip("no chromium on this machine: apt-get install chromium")
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=executable, args=FLAGS.split())
        yield found
        found.close()


@pytest.fixture(scope="session")
def city() -> Iterator[tuple[str, MadeUpCity]]:
    """The page's address and the made-up city behind it."""
    with served(MadeUpCity(vehicles=120, hz=2)) as found:
        yield found


@pytest.fixture(scope="session")
def whole_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with both: a made-up city that moves, and a lake with an hour of each stream."""
    lake = VariedLake(
        tmp_path_factory.mktemp("whole") / "home", page={"port": free_port()}, broker={"port": free_port()}
    )
    city = MadeUpCity(vehicles=120, hz=2)
    with served_app(lake.settings, create_app(lake.settings, contracts=lake.contracts, status=city, feeds=[city])):
        yield address(lake.settings)


@pytest.fixture(scope="session")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordedCity]:
    """Recordings through broker, pipeline, lake and page."""
    if missing := recordings_missing():
        pytest.skip(missing)
    with recorded_city(tmp_path_factory.mktemp("recorded") / "home") as found:
        yield found


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """`open_page(address, noise=(), **context)` gives a page. At the end: no console error but those that hold a text of
    `noise`, no request to another host."""
    opened: list[tuple[Any, list[str], list[str]]] = []

    def open_(address: str, noise: tuple[str, ...] = (), **options: Any) -> Page:
        origin = "/".join(address.split("/", 3)[:3]) + "/"
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        page = context.new_page()
        errors: list[str] = []
        foreign: list[str] = []
        page.on(
            "console",
            lambda m: (
                errors.append(m.text)
                if m.type in ("error", "warning") and not any(n in m.text for n in noise)
                else None
            ),
        )
        page.on("pageerror", lambda e: errors.append(str(e)))
        page.on("request", lambda r: None if r.url.startswith((origin, "data:", "blob:")) else foreign.append(r.url))
        opened.append((context, errors, foreign))
        page.goto(address)
        return page

    yield open_
    for context, errors, foreign in opened:
        context.close()
        assert [e for e in errors if not any(noise in e for noise in KNOWN_NOISE)] == []
        assert foreign == []
