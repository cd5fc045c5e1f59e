"""Receives paths; gives adapters one readable member a file, whether it is plain, gzip or inside a zip.

Nothing is unpacked to disk and nothing is read whole: members are streams. A compressed member that grows past
`MAX_RATIO` beyond its first `FREE` bytes is a bomb and ends with a fault.
"""

from __future__ import annotations

import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from watling.devices.sources.rows import SourceError

MIB = 1024 * 1024
FREE = 256 * MIB  # bytes that any compressed file may grow to
MAX_RATIO = 200  # beyond that, bytes out for each byte in; real recordings compress 5 to 30 times
MAX_MEMBERS = 100_000

BROKEN = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged file raises. `Bomb` is one of them."""


class Bomb(OSError):
    """A compressed file that grows without measure."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file to read, perhaps inside a zip. `open` may be called again, for adapters that read twice.

    `name` is what faults say; `path` is the file on disk; `plain` is True when `path` can be read directly.
    """

    name: str
    path: Path
    open: Callable[[], BinaryIO]
    plain: bool = True


class _Bounded(io.RawIOBase):
    """Passes reads on and raises `Bomb` when more comes out than the compressed size can explain."""

    def __init__(self, inner: BinaryIO, compressed: int, owner: zipfile.ZipFile | None = None) -> None:
        self._inner, self._owner = inner, owner
        self._left = FREE + MAX_RATIO * compressed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._inner.read(len(buffer))
        self._left -= len(data)
        if self._left < 0:
            raise Bomb(f"grows to more than {MAX_RATIO} times its compressed size: not read further")
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
            if self._owner is not None:
                self._owner.close()
        super().close()


def members(paths: Iterable[Path], suffixes: Sequence[str]) -> Iterator[Member]:
    """Give each file under `paths`, in name order: folders are walked for `suffixes`, also followed by `.gz`.

    A file that is named is read whatever its suffix. Zip archives give their members with those suffixes.

    Raises:
        SourceError: a path does not exist, a folder holds nothing to read, or a zip cannot be opened.
    """
    for path in paths:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and _matches(p.name, (*suffixes, ".zip")))
            if not found:
                raise SourceError(
                    f"{path}: no file there ends in {', '.join(suffixes)}. Name the files, or another folder.",
                    path=str(path),
                )
            for file in found:
                yield from _file(file, suffixes)
        elif path.exists():
            yield from _file(path, suffixes)
        else:
            raise SourceError(f"{path}: there is no such file or folder. Check the path.", path=str(path))


def _matches(name: str, suffixes: Sequence[str]) -> bool:
    lower = name.lower().removesuffix(".gz")
    return lower.endswith(tuple(suffixes))


def _file(path: Path, suffixes: Sequence[str]) -> Iterator[Member]:
    with path.open("rb") as stream:
        magic = stream.read(4)
    if magic[:2] == b"\x1f\x8b":
        yield Member(str(path), path, lambda: _gzip(path), plain=False)
    elif magic == b"PK\x03\x04":
        yield from _zip(path, suffixes)
    else:
        yield Member(str(path), path, lambda: path.open("rb"))


def _gzip(path: Path) -> BinaryIO:
    inner = cast(BinaryIO, gzip.GzipFile(path, "rb"))
    return cast(BinaryIO, io.BufferedReader(_Bounded(inner, path.stat().st_size), MIB))


def _zip(path: Path, suffixes: Sequence[str]) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir() and _matches(i.filename, suffixes)]
    except BROKEN as error:
        raise SourceError(f"{path}: the zip cannot be opened ({error}). Copy it again.", path=str(path)) from None
    if not infos:
        raise SourceError(f"{path}: nothing inside ends in {', '.join(suffixes)}.", path=str(path))
    if len(infos) > MAX_MEMBERS:
        raise SourceError(
            f"{path}: {len(infos)} files inside, the limit is {MAX_MEMBERS}. Unpack it first.", path=str(path)
        )
    for info in sorted(infos, key=lambda i: i.filename):
        yield Member(f"{path}!{info.filename}", path, lambda info=info: _zipped(path, info), plain=False)  # type: ignore[misc]


def _zipped(path: Path, info: zipfile.ZipInfo) -> BinaryIO:
    archive = zipfile.ZipFile(path)
    try:
        inner = cast(BinaryIO, archive.open(info))
        if info.filename.lower().endswith(".gz"):
            inner = cast(BinaryIO, gzip.GzipFile(fileobj=inner))
    except Exception as error:
        archive.close()
        raise OSError(f"cannot be read from the zip: {error}") from None
    return cast(BinaryIO, io.BufferedReader(_Bounded(inner, info.compress_size, archive), MIB))


def of_bytes(name: str, data: bytes) -> Member:
    """A member that stands in memory, such as the answer to a request."""
    return Member(name, Path(name), lambda: cast(BinaryIO, io.BytesIO(data)), plain=False)
