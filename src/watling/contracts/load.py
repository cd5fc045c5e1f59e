"""Receives a folder of the user's contracts; gives all contracts in force, the package's five overlaid by the user's."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from pathlib import Path

from watling.contracts.document import Place, parse
from watling.contracts.faults import ContractError, Fault
from watling.contracts.model import Contract
from watling.contracts.odcs import read_contract

BUILTIN = ("vehicle", "gps", "traffic", "weather", "emergency")
"""The streams that the package ships, in the order in which they are shown."""

SUFFIXES = (".yaml", ".yml")


def load_contracts(folder: Path | None = None) -> dict[str, Contract]:
    """Contracts in force by stream name: the five built-in ones, then the user's own in the order of their files.

    A file in `folder` (`*.yaml`, `*.yml`, not its subfolders) adds a stream or, under a built-in's name, replaces it.

    Raises:
        ContractError: with every fault of every file; also where two contracts share a name or a topic.
    """
    contracts = dict(builtin_contracts())
    if folder is None:
        return contracts
    own, faults = _read_folder(folder)
    contracts.update(own)
    faults += _shared_topics(contracts)
    if faults:
        raise ContractError(faults)
    return contracts


def check_file(path: Path) -> list[Fault]:
    """Every fault of one contract file, in the order of lines; empty if it can be used beside the built-in streams."""
    contract, faults = read_contract(Path(path))
    if contract is not None:
        faults = _shared_topics({**builtin_contracts(), contract.name: contract})
    return faults


@cache
def _builtin() -> tuple[Contract, ...]:
    loaded = []
    with as_file(files("watling.contracts") / "builtin") as folder:
        for name in BUILTIN:
            contract, faults = read_contract(folder / f"{name}.odcs.yaml", shipped=True)
            if contract is None:
                raise ContractError(faults)
            loaded.append(contract)
    return tuple(loaded)


def builtin_contracts() -> dict[str, Contract]:
    """The five contracts that the package ships, by stream name."""
    return {contract.name: contract for contract in _builtin()}


def _read_folder(folder: Path) -> tuple[dict[str, Contract], list[Fault]]:
    try:
        paths = sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        reason = f"the folder of contracts cannot be read ({error.strerror}); check --contracts or WATLING_CONTRACTS"
        raise ContractError([Fault(str(folder), 0, reason)]) from None
    own: dict[str, Contract] = {}
    faults: list[Fault] = []
    for path in paths:
        contract, found = read_contract(path)
        faults += found
        if contract is None:
            continue
        if contract.name in own:
            message = f"the stream '{contract.name}' stands in {own[contract.name].source} already; rename or remove one of the two"
            faults.append(_fault_at(path, ("schema", 0, "name"), message))
        else:
            own[contract.name] = contract
    return own, faults


def _shared_topics(contracts: dict[str, Contract]) -> list[Fault]:
    """Streams that would read one topic. Kafka itself takes `a.b` and `a_b` for the same."""
    shipped = builtin_contracts()
    user_last = sorted(contracts.values(), key=lambda contract: contract is not shipped.get(contract.name))
    faults: list[Fault] = []
    owners: dict[str, Contract] = {}
    for contract in user_last:
        other = owners.setdefault(contract.topic.replace(".", "_"), contract)
        if other is not contract:
            message = (
                f"the topic {contract.topic} belongs to the stream '{other.name}' ({other.topic}); "
                f"give '{contract.name}' one of its own by physicalName"
            )
            faults.append(_fault_at(Path(contract.source), ("schema", 0, "physicalName"), message))
    return faults


def _fault_at(path: Path, place: Place, message: str) -> Fault:
    return Fault(str(path), parse(path).line(place), message)
