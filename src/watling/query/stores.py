"""Receives locations of the lake; gives DuckDB the same files: a path of this machine, or an address of an S3 store.

The store's settings are PyIceberg's own (`s3.endpoint`, `s3.access-key-id`, …), of the catalog or handed out by it for a
table; without a key the usual chain of AWS is asked (environment, profile, role).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlparse

import duckdb
from pyiceberg.io import (
    AWS_ACCESS_KEY_ID,
    AWS_REGION,
    AWS_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    S3_ACCESS_KEY_ID,
    S3_ENDPOINT,
    S3_FORCE_VIRTUAL_ADDRESSING,
    S3_REGION,
    S3_SECRET_ACCESS_KEY,
    S3_SESSION_TOKEN,
)
from pyiceberg.table import Table

from watling.query.errors import QueryError
from watling.query.statement import one_line

S3_SCHEMES = frozenset({"s3", "s3a", "s3n"})
ELSEWHERE = (
    ", which SQL here cannot read: it reads folders and S3. Ask the engine of that cluster (Trino, Spark, Athena), "
    "which reads the same tables."
)
HTTP_TIMEOUT_S = 10  # a request; within a query's own limit there are some retries


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that DuckDB may read, ending in `/`, and how: `secret` are parameters of a DuckDB secret, empty for a
    folder of this machine."""

    folder: str
    secret: tuple[tuple[str, str | bool], ...] = field(default=(), repr=False)


def place_of(table: Table) -> Place:
    """Where a table lies.

    Raises:
        QueryError: in a kind of store that DuckDB does not read.
    """
    folder = readable(table.location()).rstrip("/") + "/"
    if "://" not in folder:
        return Place(folder)
    return Place(folder, tuple(sorted(_secret(table.io.properties).items())))


def readable(location: str) -> str:
    """A location as DuckDB takes it.

    Raises:
        QueryError: in a kind of store that DuckDB does not read.
    """
    if "://" not in location and not location.startswith("file:"):
        return location
    parsed = urlparse(location)
    if parsed.scheme == "file":
        return unquote(parsed.path)
    if parsed.scheme in S3_SCHEMES:
        return location
    raise QueryError(f"the lake lies at {parsed.scheme}://{parsed.netloc}{ELSEWHERE}")


def open_places(connection: duckdb.DuckDBPyConnection, places: Iterable[Place]) -> None:
    """Let a connection, whose settings are not locked yet, read Iceberg tables in these places, and nothing else.

    Raises:
        QueryError: an extension is missing, or there are no credentials for a store.
    """
    places = sorted(places, key=lambda place: place.folder)
    remote = [place for place in places if place.secret]
    by_chain = any(dict(place.secret).get("PROVIDER") for place in remote)
    for name in ("avro", *(("httpfs",) if remote else ()), *(("aws",) if by_chain else ()), "iceberg"):
        connection.execute(f"LOAD {quoted(str(_extension(name)))}")  # avro first: iceberg needs it
    for number, place in enumerate(remote):
        said = ", ".join(f"{name} {_value(value)}" for name, value in place.secret)
        try:
            connection.execute(f"CREATE SECRET lake_{number} (TYPE s3, SCOPE {quoted(place.folder)}, {said})")
        except duckdb.Error as error:
            raise QueryError(
                f"no credentials for {place.folder}: {one_line(error)}. Set `s3.access-key-id` and "
                "`s3.secret-access-key` in `lake.catalog`, or what AWS's own tools look for."
            ) from None
    if remote:
        connection.execute(f"SET http_timeout = {HTTP_TIMEOUT_S}")
        connection.execute("SET enable_http_metadata_cache = true")  # no file of a lake is ever written again
    listed = ", ".join(quoted(place.folder) for place in places)
    connection.execute(f"SET allowed_directories = [{listed}]")


def _secret(properties: Mapping[str, str]) -> dict[str, str | bool]:
    """PyIceberg's properties as parameters of DuckDB's secret."""
    found: dict[str, str | bool] = {}
    key = properties.get(S3_ACCESS_KEY_ID) or properties.get(AWS_ACCESS_KEY_ID)
    secret = properties.get(S3_SECRET_ACCESS_KEY) or properties.get(AWS_SECRET_ACCESS_KEY)
    token = properties.get(S3_SESSION_TOKEN) or properties.get(AWS_SESSION_TOKEN)
    region = properties.get(S3_REGION) or properties.get(AWS_REGION)
    if key and secret:
        found |= {"KEY_ID": key, "SECRET": secret}
        if token:
            found["SESSION_TOKEN"] = token
    else:
        found |= {"PROVIDER": "credential_chain", "REFRESH": "auto"}
    if region:
        found["REGION"] = region
    if endpoint := properties.get(S3_ENDPOINT):
        parsed = urlparse(endpoint if "://" in endpoint else f"https://{endpoint}")
        found |= {"ENDPOINT": parsed.netloc + parsed.path.rstrip("/"), "USE_SSL": parsed.scheme == "https"}
        if properties.get(S3_FORCE_VIRTUAL_ADDRESSING, "").lower() != "true":
            found["URL_STYLE"] = "path"
    return found


def _value(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else quoted(value)


def _extension(name: str) -> Path:
    """The extension's file in its wheel.

    Raises:
        QueryError: not installed, or for another DuckDB.
    """
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "extensions" / f"v{duckdb.__version__}"
        path = folder / f"{name}.duckdb_extension"
        if path.is_file():
            return path
    raise QueryError(
        f"DuckDB's extension {name} for version {duckdb.__version__} is not installed: "
        f"install duckdb-extension-{name}=={duckdb.__version__}"
    )


def quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def named(text: str) -> str:
    """A text as a name in SQL."""
    return '"' + text.replace('"', '""') + '"'
