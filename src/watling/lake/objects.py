"""Receives pictures as bytes; keeps each once, under its SHA-256, in the lake's object folder.

An object is written before the row that names it, so a reference never points to nothing. Writing again what is
there already is harmless; an object old enough that maintenance may be about to collect it is written again.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
from pyiceberg.catalog import Catalog
from pyiceberg.io import load_file_io
from pyiceberg.io.pyarrow import PyArrowFileIO

from watling.config import Settings
from watling.lake.catalog import lake_dir, uses_local_lake
from watling.lake.errors import LakeSettingsError

PREFIX = "sha256:"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object: its SHA-256 in hex, its size in bytes, and when it was last written (seconds since 1970)."""

    digest: str
    size: int
    written_at: float


class ObjectStore:
    """The object folder of a lake: `<warehouse>/objects/ab/abcdef…`."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        if uses_local_lake(settings):
            root = settings.lake.warehouse or str(lake_dir(settings))
        else:
            root = settings.lake.warehouse or catalog.properties.get("warehouse", "")
        if not root:
            raise LakeSettingsError(
                "`lake.warehouse` is not set, and the catalog names no warehouse: pictures need a place"
            )
        self.root = f"{root.rstrip('/')}/objects"
        self._io = load_file_io(dict(catalog.properties), self.root)
        self._fresh_s = settings.lake.orphan_age_hours * 1800
        self._known: dict[str, float] = {}

    def put(self, pictures: pa.ChunkedArray) -> None:
        """Store every non-null value that is not stored already."""
        for value in pc.drop_null(pictures).to_pylist():
            digest = hashlib.sha256(value).hexdigest()
            if time.time() - self._known.get(digest, 0.0) < self._fresh_s:
                continue
            filesystem, path = self._at(digest)
            info = filesystem.get_file_info(path)
            if info.type != pafs.FileType.File or time.time() - info.mtime.timestamp() > self._fresh_s:
                self._write(filesystem, path, value)
                written = time.time()
            else:
                written = info.mtime.timestamp()
            if len(self._known) > 100_000:
                self._known.clear()
            self._known[digest] = written

    def get(self, reference: str) -> bytes | None:
        """The bytes behind `sha256:<hex>`, or None for a text that is no reference or an object that is gone."""
        digest = reference.removeprefix(PREFIX)
        if not reference.startswith(PREFIX) or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            return None
        filesystem, path = self._at(digest)
        if filesystem.get_file_info(path).type != pafs.FileType.File:
            return None
        with filesystem.open_input_file(path) as stream:
            return bytes(stream.read())

    def each(self) -> Iterator[StoredObject]:
        """All objects there are."""
        filesystem, path = self._at("")
        selector = pafs.FileSelector(path.rstrip("/"), recursive=True, allow_not_found=True)
        for info in filesystem.get_file_info(selector):
            if info.type == pafs.FileType.File and len(info.base_name) == 64:
                yield StoredObject(info.base_name, info.size, info.mtime.timestamp())

    def written_at(self, digest: str) -> float:
        """When the object was last written, seconds since 1970; 0 when it is gone."""
        filesystem, path = self._at(digest)
        info = filesystem.get_file_info(path)
        return info.mtime.timestamp() if info.type == pafs.FileType.File else 0.0

    def remove(self, digest: str) -> None:
        """Remove one object."""
        filesystem, path = self._at(digest)
        filesystem.delete_file(path)
        self._known.pop(digest, None)

    def _at(self, digest: str) -> tuple[pafs.FileSystem, str]:
        assert isinstance(self._io, PyArrowFileIO)
        scheme, netloc, path = PyArrowFileIO.parse_location(self.root, self._io.properties)
        return self._io.fs_by_scheme(scheme, netloc), f"{path}/{digest[:2]}/{digest}" if digest else path

    @staticmethod
    def _write(filesystem: pafs.FileSystem, path: str, value: bytes) -> None:
        """Atomic on a folder by rename; object stores are atomic themselves."""
        if isinstance(filesystem, pafs.LocalFileSystem) or getattr(filesystem, "type_name", "") == "local":
            filesystem.create_dir(path.rsplit("/", 1)[0], recursive=True)
            temporary = f"{path}.{time.monotonic_ns()}.tmp"
            with filesystem.open_output_stream(temporary) as stream:
                stream.write(value)
            filesystem.move(temporary, path)
        else:
            with filesystem.open_output_stream(path) as stream:
                stream.write(value)
