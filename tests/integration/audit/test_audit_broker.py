"""The audit beside a real broker: gaps are confirmed where its log reaches, and lag is what it has beyond the lake."""

from __future__ import annotations

import time
import uuid
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from tests.integration.small_lake import SmallLake
from watling.audit import ledger, run_audit
from watling.broker import admin
from watling.config import Settings
from watling.contracts import load_contracts
from watling.contracts.model import Contract
from watling.lake.state import PartitionState, merge_ranges

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@pytest.fixture
def contract(kafka: Settings) -> Contract:
    """The vehicle stream on a topic of its own: offsets 0 to 9 are records, 10 a marker, 11 to 14 records."""
    made = replace(load_contracts(None)["vehicle"], topic=f"audit-{uuid.uuid4().hex[:8]}")
    admin.ensure_topics(kafka, {"vehicle": made})
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": uuid.uuid4().hex})
    producer.init_transactions(30)
    producer.begin_transaction()
    for _ in range(10):
        producer.produce(made.topic, b"{}", partition=0)
    producer.commit_transaction(30)
    deadline = time.monotonic() + 30
    while admin.watermarks(kafka, made.topic)[0][1] < 11:  # the marker is written after the commit has answered
        assert time.monotonic() < deadline
        time.sleep(0.05)
    plain = Producer({"bootstrap.servers": kafka.bootstrap_servers})
    for _ in range(4):
        plain.produce(made.topic, b"{}", partition=0)
    assert plain.flush(30) == 0
    return made


@pytest.fixture
def lake(tmp_path: Path, kafka: Settings, contract: Contract) -> SmallLake:
    made = SmallLake(tmp_path / "home", (), kafka={"bootstrap_servers": kafka.bootstrap_servers})
    made.contracts = {"vehicle": contract}
    made.begin(contract, admin.topic_ids(kafka, [contract.topic])[contract.topic])
    return made


def test_a_marker_is_confirmed_and_what_follows_is_lag(lake: SmallLake) -> None:
    """A transaction's marker is no loss, and records not read yet are no fault."""
    lake.land("vehicle", 0, 10, gaps=[(10, 11)])
    report = run_audit(lake.settings, catalog=lake.catalog, contracts=lake.contracts)
    stream = report.streams["vehicle"]
    assert report.ok
    assert (stream.lag, stream.total("gaps"), stream.total("consumed")) == (4, 1, 10)


def test_a_record_called_a_gap_is_missing(lake: SmallLake) -> None:
    """A fault of the fetch that hides records as gaps must be found while the broker still has them."""
    lake.land("vehicle", 0, 7, gaps=[(7, 12)])
    report = run_audit(lake.settings, catalog=lake.catalog, contracts=lake.contracts, look_again_s=0.01)
    (fault,) = report.streams["vehicle"].faults
    assert (fault.kind, fault.count, fault.ranges) == ("missing", 4, ((7, 10), (11, 12)))
    body = report.json()["streams"]["vehicle"]
    assert (body["missing"], body["consumed"], body["partitions"]["0"]["gaps"]) == (4, 11, 1)


def test_a_record_counted_as_a_gap_without_a_name_is_missing(lake: SmallLake) -> None:
    """The state names 1,000 ranges and counts the rest; the count must not hide a record either."""
    lake.land("vehicle", 0, 7)

    def forget_names(state: object) -> object:
        generation = state.generations[0]  # type: ignore[attr-defined]
        partition = PartitionState(0, 11, landed=7, gap_offsets=4, gaps=merge_ranges([]))
        return replace(state, generations={0: replace(generation, partitions={0: partition})})  # type: ignore[type-var]

    lake.change("vehicle", forget_names)  # type: ignore[arg-type]
    report = run_audit(lake.settings, catalog=lake.catalog, contracts=lake.contracts, look_again_s=0.01)
    (fault,) = report.streams["vehicle"].faults
    assert (fault.kind, fault.count) == ("missing", 3)
    assert ledger.MAX_RANGES == 1000


def test_a_topic_made_again_is_all_lag_and_confirms_nothing(lake: SmallLake, kafka: Settings) -> None:
    """Offsets of another topic say nothing about ours."""
    lake.land("vehicle", 0, 7, gaps=[(7, 12)])

    def other_topic(state: object) -> object:
        generation = state.generations[0]  # type: ignore[attr-defined]
        return replace(state, generations={0: replace(generation, topic_id="of-another-topic")})  # type: ignore[type-var]

    lake.change("vehicle", other_topic)  # type: ignore[arg-type]
    report = run_audit(lake.settings, catalog=lake.catalog, contracts=lake.contracts, look_again_s=0.01)
    assert report.ok
    assert report.streams["vehicle"].lag == 15
