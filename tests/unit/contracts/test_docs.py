"""The contracts that the documentation shows are contracts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from watling.contracts import Wire, check_file, load_contracts
from watling.contracts.targets import TARGETS

DOCS = Path(__file__).parents[3] / "docs" / "contracts.md"
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_every_example_of_the_docs_is_without_fault(write: Callable[..., Path]) -> None:
    """Copy, paste, start: the first thing that a user does must work."""
    assert len(EXAMPLES) == 2
    for example in EXAMPLES:
        assert check_file(write(example)) == []


def test_the_full_example_says_what_the_docs_say(write: Callable[..., Path]) -> None:
    """The example with everything in it is read as it is explained."""
    contract = load_contracts(write(EXAMPLES[1]).parent)["parking"]
    assert (contract.topic, contract.key, contract.sort) == ("city.parking.v1", "site", ("site", "event_time"))
    assert (contract.dedup_window_s, contract.event_time_ahead_s, contract.h3_resolution) == (600, 3600, 10)
    assert contract.event_time_min == "2020-01-01T00:00:00Z"
    assert not contract.ids_assigned
    assert contract.description.startswith("Free places")
    latitude = contract.field("latitude")
    assert (latitude.wires, latitude.minimum) == ((Wire("position", "latitude"), Wire("lat")), -90)
    assert contract.field("h3").derived
    assert contract.field("last_plate").personal
    assert contract.field("state").allowed == ("open", "full", "closed")
    assert contract.field("site").max_length == 40
    fahrenheit = contract.field("temperature_c").wires[1]
    assert round(32 * fahrenheit.scale + fahrenheit.offset, 9) == 0
    assert round(212 * fahrenheit.scale + fahrenheit.offset, 9) == 100


def test_the_docs_name_every_target() -> None:
    """A target that nobody can find in the docs is not there."""
    text = DOCS.read_text(encoding="utf-8")
    assert [target for target in TARGETS if f"| `{target}` |" not in text] == []
