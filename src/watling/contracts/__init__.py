"""Receives contract files (Open Data Contract Standard); gives every room what each stream's events are."""

from watling.contracts.faults import ContractError, Fault
from watling.contracts.load import BUILTIN, builtin_contracts, check_file, load_contracts
from watling.contracts.model import (
    FIRST_RESERVED_FIELD_ID,
    PROVENANCE,
    ColumnType,
    Contract,
    Field,
    Part,
    Reason,
    Wire,
)

__all__ = [
    "BUILTIN",
    "FIRST_RESERVED_FIELD_ID",
    "PROVENANCE",
    "ColumnType",
    "Contract",
    "ContractError",
    "Fault",
    "Field",
    "Part",
    "Reason",
    "Wire",
    "builtin_contracts",
    "check_file",
    "load_contracts",
]
