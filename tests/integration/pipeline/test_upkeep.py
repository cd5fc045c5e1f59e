"""Maintenance in a process of its own: it does the work, it fails loudly, and it does not outlive the pipeline."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integration.pipeline.conftest import City
from watling.config import Settings
from watling.lake.catalog import open_catalog
from watling.lake.upkeep import UpkeepFailed, maintain_apart

pytestmark = pytest.mark.integration


def test_small_files_are_merged_in_another_process(city: City) -> None:
    """Tables would grow by a file a commit for ever, and queries and commits would slow down."""
    from tests.integration.pipeline.test_exactly_once import event

    for n in range(9):
        city.send("vehicle", [event(n)])
        city.drain()
    table = open_catalog(city.settings).load_table((city.settings.lake.namespace, "vehicle"))
    before = len(list(table.scan().plan_files()))
    maintain_apart(city.settings, city.contracts, orphans=False, stop=threading.Event())
    table.refresh()
    assert before == 9
    assert len(list(table.scan().plan_files())) == 1
    assert table.scan().to_arrow().num_rows == 9


def test_a_failed_pass_says_why(city: City) -> None:
    """Nobody would learn that the tables are no longer maintained."""
    broken = Settings(home=city.settings.home, lake={"catalog": {"type": "no such type"}})  # type: ignore[arg-type]
    with pytest.raises(UpkeepFailed, match="catalog"):
        maintain_apart(broken, city.contracts, orphans=False, stop=threading.Event())


def test_a_stop_ends_it(city: City) -> None:
    """Ctrl-C would hang until a long pass over the lake is done."""
    stop = threading.Event()
    stop.set()
    began = time.monotonic()
    maintain_apart(city.settings, city.contracts, orphans=True, stop=stop)
    assert time.monotonic() - began < 12
