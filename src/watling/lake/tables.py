"""Receives contracts; gives their Iceberg tables: made, with our field ids, and evolved when a contract changed."""

from __future__ import annotations

from pyiceberg.catalog import Catalog
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, TableAlreadyExistsError
from pyiceberg.partitioning import PartitionField, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder, SortDirection, SortField, SortOrder
from pyiceberg.table.update import (
    AddPartitionSpecUpdate,
    AddSchemaUpdate,
    AddSortOrderUpdate,
    AssertCurrentSchemaId,
    AssertTableUUID,
    SetCurrentSchemaUpdate,
    SetDefaultSortOrderUpdate,
    SetDefaultSpecUpdate,
    SetPropertiesUpdate,
    TableRequirement,
    TableUpdate,
)
from pyiceberg.transforms import DayTransform, IdentityTransform
from pyiceberg.types import (
    BinaryType,
    IntegerType,
    ListType,
    LongType,
    NestedField,
    StringType,
    StructType,
    TimestamptzType,
)

from watling.config import Settings
from watling.contracts.evolution import plan_evolution
from watling.contracts.model import Contract
from watling.contracts.targets import iceberg
from watling.lake.errors import LakeError, LakeUnreachable

QUARANTINE = "quarantine"
PARTITION_FIELD_ID = 1000
EVOLVE_TRIES = 20

# Nothing may retry an append by itself: a rebased append of a fenced writer would double its rows.
PROPERTIES = {
    "format-version": "2",
    "commit.retry.num-retries": "0",
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "1",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": "50",
}

QUARANTINE_SCHEMA = Schema(
    NestedField(1, "stream", StringType(), required=True, doc="Stream whose contract the record did not fit"),
    NestedField(2, "topic", StringType(), required=True),
    NestedField(3, "_kafka_generation", IntegerType(), required=True),
    NestedField(4, "_kafka_partition", IntegerType(), required=True),
    NestedField(5, "_kafka_offset", LongType(), required=True),
    NestedField(6, "record_time", TimestamptzType(), required=True, doc="The Kafka record's timestamp"),
    NestedField(7, "key", BinaryType(), required=False),
    NestedField(
        8,
        "headers",
        ListType(
            element_id=15,
            element_type=StructType(
                NestedField(16, "key", StringType(), required=True),
                NestedField(17, "value", BinaryType(), required=False),
            ),
            element_required=True,
        ),
        required=False,
    ),
    NestedField(9, "raw", BinaryType(), required=False, doc="The record's bytes as they came; null for a tombstone"),
    NestedField(10, "reason", StringType(), required=True),
    NestedField(11, "field", StringType(), required=False, doc="Wire field at fault"),
    NestedField(12, "message", StringType(), required=False, doc="What is wrong and what to do"),
    NestedField(13, "quarantined_at", TimestamptzType(), required=True),
    NestedField(14, "released_at", TimestamptzType(), required=False, doc="When replay landed the record"),
)


def ensure_stream_table(catalog: Catalog, settings: Settings, contract: Contract) -> Table:
    """The stream's table, made or evolved to fit the contract.

    Raises:
        EvolutionError: the contract changed in a way that the table cannot follow by itself.
    """
    schema = iceberg.compile(contract)
    day = schema.find_field(contract.time_column).field_id
    sort = SortOrder(
        *(
            SortField(
                source_id=schema.find_field(name).field_id,
                transform=IdentityTransform(),
                direction=SortDirection.ASC,
                null_order=NullOrder.NULLS_LAST,
            )
            for name in contract.sort
        ),
        order_id=1,
    )
    spec = PartitionSpec(
        PartitionField(day, PARTITION_FIELD_ID, DayTransform(), f"{contract.time_column}_day"), spec_id=1
    )
    table = _ensure(catalog, settings, contract.name, schema, spec, sort)
    for _ in range(EVOLVE_TRIES):
        evolved = plan_evolution(table.schema(), contract, table.schemas().values())
        if evolved is None:
            return table
        _set_schema(table, evolved)  # after a conflict the table is as somebody else left it: look again
    raise LakeError(f"table {contract.name} could not be evolved: others kept committing to it. Start again.")


def ensure_quarantine_table(catalog: Catalog, settings: Settings) -> Table:
    """The one table of records that did not fit, over all streams."""
    spec = PartitionSpec(PartitionField(1, PARTITION_FIELD_ID, IdentityTransform(), "stream"), spec_id=1)
    sort = SortOrder(
        *(
            SortField(
                source_id=i, transform=IdentityTransform(), direction=SortDirection.ASC, null_order=NullOrder.NULLS_LAST
            )
            for i in (4, 5)
        ),
        order_id=1,
    )
    return _ensure(catalog, settings, QUARANTINE, QUARANTINE_SCHEMA, spec, sort)


def load_table(catalog: Catalog, settings: Settings, name: str) -> Table | None:
    """The table of that name, or None before its first writer made it.

    Raises:
        LakeUnreachable: the store that it lies in does not answer.
    """
    try:
        return catalog.load_table((settings.lake.namespace, name))
    except NoSuchTableError:
        return None
    except FileNotFoundError:
        raise
    except OSError as error:
        what = "refuses: check the keys" if "ACCESS_DENIED" in str(error) else "does not answer: check that it runs"
        raise LakeUnreachable(
            f"the lake's store {what}, and `lake.catalog` in `watling config show` ({error})"
        ) from error


def _ensure(
    catalog: Catalog, settings: Settings, name: str, schema: Schema, spec: PartitionSpec, sort: SortOrder
) -> Table:
    table = load_table(catalog, settings, name)
    if table is None:
        try:
            table = catalog.create_table((settings.lake.namespace, name), schema=schema, properties=PROPERTIES)
        except TableAlreadyExistsError:  # another process was a moment faster
            table = catalog.load_table((settings.lake.namespace, name))
    if table.metadata.current_snapshot_id is None and table.spec().is_unpartitioned():
        _shape(table, schema, spec, sort)
    missing = {k: v for k, v in PROPERTIES.items() if k != "format-version" and table.properties.get(k) != v}
    retries = {k: v for k, v in missing.items() if k == "commit.retry.num-retries"}
    if retries:  # somebody changed what exactly-once rests on
        _commit(table, (SetPropertiesUpdate(updates=retries),), ())
    return table


def _shape(table: Table, schema: Schema, spec: PartitionSpec, sort: SortOrder) -> None:
    """Give a table without snapshots our field ids (a catalog numbers them anew at creation), partition and sort order."""
    fresh = Schema(*schema.fields, schema_id=table.schema().schema_id + 1)
    updates: tuple[TableUpdate, ...] = (
        AddSchemaUpdate(schema_=fresh),
        SetCurrentSchemaUpdate(schema_id=-1),
        AddPartitionSpecUpdate(spec=spec),
        SetDefaultSpecUpdate(spec_id=-1),
        AddSortOrderUpdate(sort_order=sort),
        SetDefaultSortOrderUpdate(sort_order_id=-1),
    )
    _commit(table, updates, (AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),))


def _set_schema(table: Table, schema: Schema) -> None:
    number = max(s.schema_id for s in table.schemas().values()) + 1
    updates = (
        AddSchemaUpdate(schema_=Schema(*schema.fields, schema_id=number)),
        SetCurrentSchemaUpdate(schema_id=-1),
    )
    _commit(table, updates, (AssertCurrentSchemaId(current_schema_id=table.metadata.current_schema_id),))


def _commit(table: Table, updates: tuple[TableUpdate, ...], requirements: tuple[TableRequirement, ...]) -> None:
    try:
        table._do_commit(updates, (*requirements, AssertTableUUID(uuid=table.metadata.table_uuid)))
    except CommitFailedException:
        table.refresh()  # somebody else shaped it meanwhile; what they did is checked by the next start
        if table.spec().is_unpartitioned():
            raise LakeError(
                f"table {'.'.join(table.name())} was changed by somebody else at the same moment: start again"
            ) from None
