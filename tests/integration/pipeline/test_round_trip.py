"""Every recording that there is, through the producer and the broker into the lake: the totals and the audit."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.integration.devices.test_replay import DATA, LANDS
from tests.integration.pipeline.conftest import City
from watling.audit import run_audit
from watling.devices.producer import MAX, send
from watling.devices.replay import Replay

pytestmark = pytest.mark.integration
STREAMS = ("vehicle", "gps", "traffic", "weather", "emergency")
RECORDINGS = sorted({(source, file) for source, file, options, *_ in LANDS if not options})


def expected() -> tuple[Counter[str], Counter[tuple[str, str]]]:
    """Rows to land by stream, and quarantined ones by (stream, reason)."""
    landed: Counter[str] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    for _, _, options, stream, read, bad in LANDS:
        if not options and (stream, read) != ("gps", 32_764):
            landed[stream] += read - sum(bad.values())
            for (reason, _), count in bad.items():
                held[stream, reason] += count
    # the trimmed enviroCar trips as gps are not in the table: the same rows as vehicle, two of them out of range
    landed["gps"] += 30_274 - 2
    held["gps", "out_of_range"] += 2
    return landed, held


@pytest.mark.timeout(900)
def test_every_recording_lands_with_a_clean_audit(make_city: Any) -> None:
    """What the field records must come out at the other end, each record once."""
    if not DATA.is_dir():
        pytest.skip(f"the recordings are not here: {DATA}")
    city: City = make_city(*STREAMS)
    for source, file in RECORDINGS:
        report = send(Replay(source, [DATA / file], speed=MAX), city.settings, speed=MAX)
        assert (report.failed, report.unsent) == (0, 0)
    city.drain()
    landed, held = expected()
    report = run_audit(city.settings, contracts={s: city.contracts[s] for s in STREAMS})
    assert report.ok, report.lines()
    found = report.json()["streams"]
    assert {s: found[s]["landed"] for s in STREAMS} == dict(landed)
    rows = city.rows("quarantine", ["stream", "reason"]).to_pylist()
    assert Counter((r["stream"], r["reason"]) for r in rows) == held
