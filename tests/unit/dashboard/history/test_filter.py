"""The filter that every tile and the map share: what it lets through, and what it refuses."""

from __future__ import annotations

import h3
import pytest
from fastapi import Depends, FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from watling.contracts import builtin_contracts
from watling.dashboard.history.filter import Filter, condition, descendants, make_reader

CONTRACTS = builtin_contracts()
PLACES = st.tuples(st.floats(-89, 89), st.floats(-180, 180))


@given(PLACES, st.integers(0, 9), st.integers(0, 9))
def test_descendants_are_those_of_h3(place: tuple[float, float], resolution: int, finer: int) -> None:
    """A click on a cell of the heat map must show that cell's rows, all of them and no others."""
    resolution, finer = min(resolution, finer), max(resolution, finer)
    fine = h3.latlng_to_cell(*place, finer)
    cell = h3.cell_to_parent(fine, resolution)
    low, high = descendants(cell, finer)
    assert low <= fine <= high
    if finer - resolution <= 3:
        children = h3.cell_to_children(cell, finer)
        assert low == min(children)
        assert max(children) <= high
        for beside in h3.grid_disk(cell, 1):
            if beside != cell:
                assert not low <= h3.cell_to_center_child(beside, finer) <= high


def test_values_are_bound() -> None:
    """A vehicle whose id is SQL must not become SQL."""
    hostile = "x' OR 1=1 --"
    found = condition(Filter(0, 1000, where=(("make", (hostile,)),)), CONTRACTS["vehicle"])
    assert found is not None
    assert hostile not in found.sql
    assert hostile in found.values.values()


def test_a_stream_without_the_column_is_not_spoken_of() -> None:
    """Weather has no make: a tile of it must say so, and not show all the weather there is."""
    wanted = Filter(0, 1000, where=(("make", ("BMW",)),))
    assert condition(wanted, CONTRACTS["weather"]) is None
    assert condition(wanted, CONTRACTS["vehicle"]) is not None
    finer = Filter(0, 1000, cell=h3.latlng_to_cell(51.5, -0.1, 10))
    assert condition(finer, CONTRACTS["vehicle"]) is None  # the lake knows cells of resolution 9


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()

    def answer(wanted=Depends(make_reader(CONTRACTS))):  # type: ignore[no-untyped-def]  # noqa: B008
        return {"start": wanted.start_ms, "end": wanted.end_ms, "area": wanted.area, "where": wanted.where}

    app.get("/f")(answer)
    return TestClient(app)


@pytest.mark.parametrize(
    "query",
    [
        "area=1,2,3",
        "area=1,2,3,x",
        "area=nan,0,1,1",
        "area=1e999,0,1,1",
        "area=0,50,1,40",
        "area=-181,0,1,1",
        "cell=zzz",
        "cell=8928308280fffff0",
        "cell=8b2830828052fff",  # resolution 11
        "cell=89ffffffffffff7",
        "cell=" + "8" * 15,
        "where=make",
        "where=speed_kmh:4",
        "where=make';drop table vehicle:x",
        "where=make:" + "x" * 201,
        "where=make:a%00b",
        "from=5&to=5",
        "from=0&to=99999999999",
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(client: TestClient, query: str) -> None:
    """Whoever makes a link by hand learns what is wrong with it; nothing of it reaches the lake."""
    answer = client.get(f"/f?{query}")
    assert answer.status_code == 422, answer.text
    assert len(answer.json()["detail"]) > 20


def test_alternatives_and_defaults(client: TestClient) -> None:
    """Two makes clicked are both shown; without a time the last 15 minutes are meant."""
    got = client.get("/f?where=make:BMW&where=make:Kia&where=route:M1&area=-1,50,1,52").json()
    assert got["where"] == [["make", ["BMW", "Kia"]], ["route", ["M1"]]]
    assert got["end"] - got["start"] == 15 * 60_000
    assert got["area"] == [-1, 50, 1, 52]
