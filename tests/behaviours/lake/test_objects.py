"""Pictures beside the tables: stored once, never missing while a row names them, gone when nobody does."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog

from watling.config import Settings, load_settings
from watling.contracts import load_contracts
from watling.contracts.targets import arrow
from watling.lake.catalog import open_catalog
from watling.lake.commit import Batch, Committer
from watling.lake.maintain import maintain
from watling.lake.objects import ObjectStore
from watling.lake.state import Generation, PartitionDelta, PartitionState
from watling.lake.write import write_rows

TRAFFIC = load_contracts(None)["traffic"]
NAMED, ORPHAN = b"a picture that a row names", b"a picture of a writer that died"


@pytest.fixture(params=["sqlite", "sql-by-configuration"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "sqlite":
        return load_settings(home=tmp_path / "home")
    (tmp_path / "store").mkdir()
    catalog = {"type": "sql", "uri": f"sqlite:///{tmp_path}/c.db", "warehouse": f"file://{tmp_path}/store"}
    return load_settings(home=tmp_path / "home", lake={"catalog": catalog})


@pytest.fixture
def catalog(settings: Settings) -> Catalog:
    return open_catalog(settings)


def reference(picture: bytes) -> str:
    return f"sha256:{sha256(picture).hexdigest()}"


def put(store: ObjectStore, *pictures: bytes | None) -> None:
    store.put(pa.chunked_array([pa.array(pictures, pa.large_binary())]))


def age(settings: Settings, tmp_path: Path, hours: float) -> None:
    """Let every stored object look as if it was written so long ago."""
    then = time.time() - hours * 3600
    for path in tmp_path.rglob("objects/??/*"):
        os.utime(path, (then, then))


def name_it(catalog: Catalog, settings: Settings) -> None:
    """Land a row that names the picture NAMED."""
    owner = Committer(catalog, settings, "test", threading.Event())
    owner.claim(TRAFFIC)
    begin = {0: Generation("traffic_data", "id", {0: PartitionState(0, 0)})}
    owner.update_state("traffic", lambda s: replace(s, generations=begin))
    now = datetime.now(UTC)
    row = {
        "id": "1", "camera_id": "c", "event_time": now, "snapshot": reference(NAMED), "_kafka_generation": 0,
        "_kafka_partition": 0, "_kafka_offset": 0, "_ingested_at": now,
    }  # fmt: skip
    rows = pa.Table.from_pylist([row], schema=arrow.compile(TRAFFIC))
    files = write_rows(owner.table("traffic"), rows)
    result = owner.commit([Batch("traffic", 0, {0: PartitionDelta(0, 1, landed=1)}, files)])["traffic"]
    assert not isinstance(result, Exception), result


def test_a_picture_is_kept_once_and_read_back(catalog: Catalog, settings: Settings) -> None:
    """A camera that shows the same scene all night must not fill the disk."""
    store = ObjectStore(settings, catalog)
    put(store, NAMED, None, NAMED)
    put(ObjectStore(settings, catalog), NAMED)
    assert [o.size for o in store.each()] == [len(NAMED)]
    assert store.get(reference(NAMED)) == NAMED


@pytest.mark.parametrize(
    "text", ["Base64EncodedString", "sha256:../../../etc/passwd", "sha256:" + "0" * 64, "sha256:" + "g" * 64, ""]
)
def test_a_text_that_is_no_reference_reads_nothing(catalog: Catalog, settings: Settings, text: str) -> None:
    """References come from rows, and rows from outside: no path may be built from them."""
    assert ObjectStore(settings, catalog).get(text) is None


def test_maintenance_collects_what_no_row_names(catalog: Catalog, settings: Settings, tmp_path: Path) -> None:
    """A dead writer's pictures go, a living row's stay, a young one may belong to a writer that is about to commit."""
    store = ObjectStore(settings, catalog)
    put(store, NAMED, ORPHAN)
    name_it(catalog, settings)
    assert maintain(catalog, settings, {"traffic": TRAFFIC}).objects == 0
    age(settings, tmp_path, hours=25)
    assert maintain(catalog, settings, {"traffic": TRAFFIC}).objects == 1
    assert store.get(reference(NAMED)) == NAMED
    assert store.get(reference(ORPHAN)) is None


def test_an_object_used_again_late_is_written_again(catalog: Catalog, settings: Settings, tmp_path: Path) -> None:
    """Between its writing and its row's commit maintenance must not take an old object that is used again."""
    put(ObjectStore(settings, catalog), NAMED)
    age(settings, tmp_path, hours=13)  # past half the orphan age
    put(ObjectStore(settings, catalog), NAMED)
    age_now = time.time() - next(iter(ObjectStore(settings, catalog).each())).written_at
    assert age_now < 3600


def test_retention_by_age_removes_named_pictures_too(catalog: Catalog, settings: Settings, tmp_path: Path) -> None:
    """A city that may keep pictures for thirty days only sets it once."""
    put(ObjectStore(settings, catalog), NAMED)
    name_it(catalog, settings)
    age(settings, tmp_path, hours=31 * 24)
    keep = settings.model_copy(update={"lake": settings.lake.model_copy(update={"object_age_days": 30})})
    assert maintain(catalog, keep, {"traffic": TRAFFIC}).objects == 1
    assert ObjectStore(settings, catalog).get(reference(NAMED)) is None
