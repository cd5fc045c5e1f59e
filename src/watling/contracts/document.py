"""Receives a YAML file from disk; gives its plain data, the line of each place in it and what is wrong with it to `odcs`."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from watling.contracts.faults import Fault

Place = tuple[str | int, ...]
"""Where in the document: the keys and list positions from the top."""

MAX_BYTES = 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 40
MAX_BRACKETS = 200


@dataclass(slots=True)
class Document:
    """A parsed file. `data` is plain dicts, lists and scalars (dates as ISO text), or None if nothing could be read."""

    file: str
    data: Any = None
    faults: list[Fault] = field(default_factory=list)
    _root: Any = None

    def line(self, place: Place) -> int:
        """The line, from 1, where `place` stands; of its nearest parent that exists if it is missing."""
        node, line = self._root, 1
        for step in place:
            try:
                if isinstance(node, CommentedMap):
                    line = node.lc.key(step)[0] + 1
                elif isinstance(node, CommentedSeq):
                    line = node.lc.item(step)[0] + 1
                else:
                    break
                node = node[step]
            except (KeyError, IndexError, TypeError, AttributeError):
                break
        return line

    def at(self, place: Place) -> Any:
        """The data at `place`; None where there is none."""
        node = self.data
        for step in place:
            try:
                node = node[step]
            except (KeyError, IndexError, TypeError):
                return None
        return node

    def fault(self, place: Place, message: str) -> None:
        """Note something wrong at `place`; the same message on the same line is noted once."""
        found = Fault(self.file, self.line(place), message)
        if found not in self.faults:
            self.faults.append(found)


class _TooLarge(Exception):
    """The document holds more than any contract does (or refers to itself)."""


def parse(path: Path) -> Document:
    """Read and parse `path`. Never raises for what the file holds: that becomes faults."""
    document = Document(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except OSError as error:
        document.faults.append(
            Fault(str(path), 0, f"cannot be read ({error.strerror}); check the path and its permissions")
        )
        return document
    if len(raw) > MAX_BYTES:
        document.faults.append(Fault(str(path), 0, "larger than 1 MiB; a contract is one small YAML document"))
        return document
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        document.faults.append(Fault(str(path), line, "not UTF-8 text; save the file as UTF-8"))
        return document
    _parse_text(document, text)
    return document


def _parse_text(document: Document, text: str) -> None:
    try:
        _check_brackets(text)
        try:
            document._root = _yaml(duplicates=False).load(text)
        except DuplicateKeyError as error:
            document.faults.append(Fault(document.file, _mark_line(error), f"{_problem(error)}; keep one of the two"))
            document._root = _yaml(duplicates=True).load(text)
        document.data = _plain(document._root, [MAX_NODES], 0)
    except MarkedYAMLError as error:
        message = f"not valid YAML: {_problem(error)}; look at the indentation, quotes and brackets here and just above"
        document.faults.append(Fault(document.file, _mark_line(error), message))
    except (_TooLarge, RecursionError):
        message = "too deep or too large for a contract (or it refers to itself); write it without nesting and anchors"
        document.faults.append(Fault(document.file, 0, message))
    except (
        YAMLError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        IndexError,
        OverflowError,
        AssertionError,
        NotImplementedError,
    ) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        document.faults.append(Fault(document.file, 0, f"not valid YAML: {reason}"))


def _check_brackets(text: str) -> None:
    """Refuse absurd nesting before the parser, whose time grows with its square. Brackets in quotes count too."""
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_BRACKETS:
            raise _TooLarge


def _yaml(*, duplicates: bool) -> YAML:
    yaml = YAML(typ="rt")
    yaml.allow_duplicate_keys = duplicates
    return yaml


def _mark_line(error: MarkedYAMLError) -> int:
    mark = error.problem_mark or error.context_mark
    return mark.line + 1 if mark is not None else 0


def _problem(error: MarkedYAMLError) -> str:
    text = str(error.problem or error.context or "cannot be parsed")
    return " ".join(text.split())[:200]


def _plain(node: Any, budget: list[int], depth: int) -> Any:
    """Plain Python data of a parsed node. Anchors count each time that they are used."""
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        raise _TooLarge
    if isinstance(node, dict):
        return {str(key): _plain(value, budget, depth + 1) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value, budget, depth + 1) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, datetime.date | datetime.time):
        return node.isoformat()
    return str(node)
