"""Receives a contract and the name of a target; gives what is compiled from it as text to the commands."""

from __future__ import annotations

from collections.abc import Callable

from watling.contracts.model import Contract
from watling.errors import UsageError


def _arrow(contract: Contract) -> str:
    from watling.contracts.targets import arrow

    return f"{arrow.compile(contract)}\n"


def _iceberg(contract: Contract) -> str:
    from watling.contracts.targets import iceberg

    return iceberg.compile(contract).model_dump_json(indent=2) + "\n"


def _json_schema(contract: Contract) -> str:
    import json

    from watling.contracts.targets import json_schema

    return json.dumps(json_schema.compile(contract), indent=2, ensure_ascii=False) + "\n"


def _typescript(contract: Contract) -> str:
    from watling.contracts.targets import typescript

    return typescript.compile(contract)


def _markdown(contract: Contract) -> str:
    from watling.contracts.targets import markdown

    return markdown.compile(contract)


def _plan(contract: Contract) -> str:
    import json

    from watling.contracts.targets import plan

    return json.dumps(plan.compile(contract), indent=2, ensure_ascii=False) + "\n"


TARGETS: dict[str, Callable[[Contract], str]] = {
    "arrow": _arrow,
    "iceberg": _iceberg,
    "json-schema": _json_schema,
    "typescript": _typescript,
    "markdown": _markdown,
    "plan": _plan,
}
"""What `watling contracts compile --target` takes. Each imports its libraries when it is asked for."""


def compile_target(contract: Contract, target: str) -> str:
    """What `target` is for `contract`, as text that ends with a line break.

    Raises:
        UsageError: there is no such target.
    """
    compiler = TARGETS.get(target)
    if compiler is None:
        raise UsageError(f"there is no target '{target}'; choose one of {', '.join(TARGETS)}", target=target)
    return compiler(contract)
