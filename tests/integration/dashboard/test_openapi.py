"""The whole REST interface against its own OpenAPI document, with parameters and bodies that a machine makes up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.conftest import free_port
from tests.integration.dashboard.lake_page import served_app
from tests.integration.dashboard.varied_lake import VariedLake
from watling.config import load_settings
from watling.contracts import builtin_contracts
from watling.dashboard import create_app

pytestmark = pytest.mark.integration
EXAMPLES = 12


class NoStatus:
    """A status source that knows nothing."""

    def read(self) -> dict[str, Any]:
        return {}


def without_tuples(node: Any) -> Any:
    """The document with an array of anything for each tuple: schemathesis 4.32 rewrites `prefixItems` into what its own
    validator of answers refuses."""
    if isinstance(node, list):
        return [without_tuples(item) for item in node]
    if isinstance(node, dict):
        return {key: without_tuples(value) for key, value in node.items() if key != "prefixItems"}
    return node


DOCUMENT = without_tuples(create_app(load_settings(), contracts=builtin_contracts(), status=NoStatus()).openapi())
OPERATIONS = [
    pytest.param(path, method, mode, id=f"{method} {path} {mode.value}")
    for path, operations in DOCUMENT["paths"].items()
    for method, described in operations.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "parameters" in described or "requestBody" in described
]
BEYOND_A_SCHEMA = [positive_data_acceptance]
"""That `from` is before `to`, that SQL can be read: no schema says so, and the answer to it is 422 all the same."""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("openapi") / "home"
    lake = VariedLake(home, broker={"port": free_port()}, page={"port": free_port(), "query_timeout_s": 5})
    with served_app(lake.settings, create_app(lake.settings, contracts=lake.contracts, status=NoStatus())):
        yield f"http://127.0.0.1:{lake.settings.page.port}"


@pytest.mark.parametrize(("path", "method", "mode"), OPERATIONS)
def test_every_operation_keeps_to_its_document(address: str, path: str, method: str, mode: GenerationMode) -> None:
    """Whoever writes a client from the document meets no answer that it does not name, and never a fault of ours."""
    operation = schemathesis.openapi.from_dict(DOCUMENT)[path][method]
    answers: list[int] = []

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    def holds(case: Case) -> None:
        answer = case.call_and_validate(base_url=address, excluded_checks=BEYOND_A_SCHEMA)
        answers.append(answer.status_code)

    holds()
    if mode is GenerationMode.POSITIVE and not path.startswith("/api/sql"):
        assert set(answers) - {422}, "not one made-up request got past the parameters"
