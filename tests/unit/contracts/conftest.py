"""Contract files written for a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .documents import MINIMAL


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a contract file into the test's folder and gives its path."""

    def write(text: str = MINIMAL, name: str = "parking.odcs.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write
