"""Receives the settings; gives a PyIceberg catalog, SQLite and a folder by default, any other by configuration."""

from __future__ import annotations

import contextlib
import random
import sqlite3
import time
from pathlib import Path

from pyiceberg.catalog import Catalog, load_catalog
from pyiceberg.exceptions import NamespaceAlreadyExistsError
from sqlalchemy.exc import DBAPIError

from watling.config import Settings
from watling.lake.errors import LakeUnreachable
from watling.ops.process import exclusive

SQLITE_BUSY_S = 30


def lake_dir(settings: Settings) -> Path:
    """The local profile's folder of tables and objects."""
    return settings.home.resolve() / "lake"


def uses_local_lake(settings: Settings) -> bool:
    """True when no catalog is configured: SQLite and a folder under the home."""
    return not settings.lake.catalog


def open_catalog(settings: Settings) -> Catalog:
    """The catalog of the lake, with the namespace made if it is missing. Safe to use from several threads.

    Raises:
        LakeUnreachable: the catalog or its database does not answer.
    """
    try:
        try:
            return _opened(settings)
        except DBAPIError:  # two that open a new database at once stumble over each other's tables
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311 - jitter
            return _opened(settings)
    except Exception as error:
        raise LakeUnreachable(
            f"the lake's catalog does not answer: {type(error).__name__}: {error}. "
            "Check `lake.catalog` in `watling config show`, and that the disk or service is there."
        ) from error


def _opened(settings: Settings) -> Catalog:
    if uses_local_lake(settings):
        database = lake_dir(settings) / "catalog.db"
        if not database.exists():
            _make(settings, database)
        catalog = _local(settings, database)
    else:
        catalog = load_catalog(settings.lake.catalog_name, **settings.lake.catalog)
    with contextlib.suppress(NamespaceAlreadyExistsError):
        catalog.create_namespace(settings.lake.namespace)
    return catalog


def _make(settings: Settings, database: Path) -> None:
    """Put a new catalog in its place, whole: the parts of a system that starts open it at the same time."""
    with exclusive(database.with_suffix(".lock"), SQLITE_BUSY_S):
        if database.exists():
            return
        new = database.with_suffix(".new")
        new.unlink(missing_ok=True)
        catalog = _local(settings, new)
        catalog.create_namespace(settings.lake.namespace)
        catalog.close()
        with contextlib.closing(sqlite3.connect(new, timeout=SQLITE_BUSY_S)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
        new.replace(database)


def _local(settings: Settings, database: Path) -> Catalog:
    return load_catalog(
        settings.lake.catalog_name,
        type="sql",
        uri=f"sqlite:///{database}?timeout={SQLITE_BUSY_S}",
        warehouse=settings.lake.warehouse or str(database.parent),
    )
