"""The same topics played to every engine, in rounds of one batch each, into a lake of its own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.integration.parity import cases
from tests.integration.parity.cases import Sent
from tests.integration.parity.lakes import Lake
from watling.broker import admin
from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.contracts.model import Contract
from watling.errors import WatlingError
from watling.lake.catalog import open_catalog
from watling.pipeline.replay import Replayed, replay
from watling.testing import hostile_records

BUILTIN = ("vehicle", "gps", "traffic", "weather", "emergency")
PARTITIONS = 3
HOSTILE = 10_000
ONE_BATCH = {"commit_interval_s": 3600, "batch_records": 10_000_000, "batch_bytes": 1 << 30}
REFERENCE = "embedded"
ENGINES = {
    REFERENCE: {"pipeline": ONE_BATCH},
    "embedded in small pieces": {"pipeline": {**ONE_BATCH, "fetch_records": 700, "threads": 1}},
    "spark": {"pipeline": ONE_BATCH},
}


@dataclass
class Road:
    """Topics with a tag of their own, the contracts of the moment, and an engine's lake each."""

    bootstrap: str
    folder: Path
    tag: str
    lakes: dict[str, Lake]
    runs: dict[str, Callable[..., Any]]
    absent: dict[str, str]  # engines that cannot run here, and why
    sent: dict[str, int] = field(default_factory=dict)
    replayed: dict[str, Replayed] = field(default_factory=dict)

    @property
    def contracts(self) -> dict[str, Contract]:
        """As the files have them now."""
        found = load_contracts(self.folder)
        return {name: found[name] for name in (*BUILTIN, "measure")}

    def write_contract(self, **changes: Any) -> None:
        """The contract of `measure`, as it is from now on."""
        text = cases.measure_contract(f"measure_{self.tag}", **changes)
        (self.folder / "measure.odcs.yaml").write_text(text)

    def send(self, stream: str, records: Sequence[Sent], transaction: bool | None = None) -> None:
        """Produce records; with `transaction` in one that is committed (True) or aborted (False)."""
        options: dict[str, Any] = {"bootstrap.servers": self.bootstrap, "linger.ms": 5, "message.max.bytes": 16 << 20}
        if transaction is not None:
            options["transactional.id"] = uuid.uuid4().hex
        producer = Producer(options)
        if transaction is not None:
            producer.init_transactions(30)
            producer.begin_transaction()
        for one in records:
            more = {} if one.headers is None else {"headers": list(one.headers)}
            producer.produce(
                f"{stream}_{self.tag}",
                value=one.value,
                key=one.key,
                partition=one.partition,
                timestamp=int(one.at.timestamp() * 1000),
                **more,
            )
            producer.poll(0)
        assert producer.flush(60) == 0
        if transaction is not None:
            (producer.commit_transaction if transaction else producer.abort_transaction)(30)
        if transaction is not False:
            self.sent[stream] = self.sent.get(stream, 0) + len(records)

    def round(self, *streams: str) -> None:
        """One pass of every engine: one batch a stream."""
        for engine, lake in self.lakes.items():
            report = self.runs[engine](lake.settings, self.contracts, once=True, streams=list(streams))
            assert not report.failed, (engine, report)

    def replay(self) -> None:
        """Quarantine replay in every lake."""
        for engine, lake in self.lakes.items():
            self.replayed[engine] = replay(open_catalog(lake.settings), lake.settings, self.contracts)


def runner(engine: str) -> Callable[..., Any] | str:
    """The engine's `run`, or why it cannot run here."""
    if engine != "spark":
        from watling.pipeline.engines.embedded import run

        return run
    from watling.pipeline.engines.spark import session

    try:
        session.check()
    except WatlingError as error:
        return error.message
    from watling.pipeline.engines.spark.engine import run as run_spark

    return run_spark


@pytest.fixture(scope="package")
def road(kafka: Settings, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Road:
    """All rounds played: worst cases, repetitions, late events, transactions, a contract that changes, replay."""
    base, tag = tmp_path_factory.mktemp("parity"), uuid.uuid4().hex[:8]
    folder = base / "contracts"
    folder.mkdir()
    for name in BUILTIN:
        text = resources.files("watling.contracts").joinpath(f"builtin/{name}.odcs.yaml").read_text()
        (folder / f"{name}.odcs.yaml").write_text(text.replace(f"{name}_data", f"{name}_{tag}"))
    found = {name: runner(name) for name in ENGINES}
    runs = {name: run for name, run in found.items() if not isinstance(run, str)}
    absent = {name: why for name, why in found.items() if isinstance(why, str)}
    lakes = {
        name: Lake(
            load_settings(
                home=base / name.replace(" ", "-"),
                contracts=folder,
                kafka={"bootstrap_servers": kafka.bootstrap_servers},
                broker={"partitions": PARTITIONS},
                **ENGINES[name],
            )
        )
        for name in runs
    }
    road = Road(kafka.bootstrap_servers, folder, tag, lakes, runs, absent)
    road.write_contract()
    contracts = road.contracts
    admin.ensure_topics(lakes[REFERENCE].settings, contracts)
    if "spark" in runs:
        request.getfixturevalue("spark")
    play(road, contracts)
    return road


def play(road: Road, contracts: Mapping[str, Contract]) -> None:
    """What happens on the road, from the first record to the last."""
    road.send("measure", [*cases.forms(), *cases.envelopes()])
    road.send("traffic", cases.pictures())
    corpus = {name: hostile_records(contracts[name], HOSTILE, seed=11) for name in BUILTIN}
    for name, records in corpus.items():
        road.send(name, [Sent(value, partition=n % PARTITIONS) for n, (value, _) in enumerate(records)])
    road.round(*BUILTIN, "measure")

    again = {name: [value for value, _ in records[:400]] for name, records in corpus.items()}
    for name, values in again.items():
        road.send(name, [Sent(value, partition=(n + 1) % PARTITIONS) for n, value in enumerate(values)])
    road.send("measure", [*cases.repeated("a"), *cases.late(), *cases.hot("h"), *cases.evolved()])
    road.round(*BUILTIN, "measure")

    road.write_contract(evolved=True)
    road.send("measure", cases.repeated("t"), transaction=True)
    road.send("measure", cases.repeated("never"), transaction=False)
    road.send("measure", [*cases.repeated("a"), *cases.late(), *cases.evolved()])
    road.round("measure")

    road.write_contract(evolved=True, hottest=200)
    road.replay()
    road.send("measure", [*cases.hot("h"), *cases.hot("i"), *cases.evolved(), *cases.envelopes()])
    road.send("measure", cases.repeated("last"), transaction=False)
    road.round("measure")


@pytest.fixture(params=[name for name in ENGINES if name != REFERENCE])
def engine(request: pytest.FixtureRequest, road: Road) -> str:
    """An engine that is held against the reference."""
    name: str = request.param
    if name in road.absent:
        pytest.skip(road.absent[name])
    return name
