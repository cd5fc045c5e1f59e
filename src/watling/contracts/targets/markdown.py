"""Receives a contract; gives a page that describes its stream, for people, to the docs and the commands."""

from __future__ import annotations

from watling.contracts.model import PROVENANCE, Contract, Field, Wire


def compile(contract: Contract) -> str:
    """A Markdown page: what the stream is, its columns with where each comes from, and its rules."""
    lines = [
        f"# {contract.name}",
        "",
        *([_text(contract.description), ""] if contract.description else []),
        f"Version {_text(contract.version)} · topic `{contract.topic}` · Kafka key: {_code(contract.key)}",
        "",
        "| column | type | unit | from the wire | must be | what it is |",
        "|---|---|---|---|---|---|",
        *(_row(field) for field in contract.fields),
        "",
        f"A record's event time lies between {contract.event_time_min} and its Kafka timestamp + {_span(contract.event_time_ahead_s)}. "
        f"The same `{contract.id_column}` within {_span(contract.dedup_window_s)} of event time is a duplicate. "
        f"A record has at most {contract.max_record_bytes:,} bytes. Rows are sorted by {', '.join(_code(c) for c in contract.sort)}.",
    ]
    if any(field.name == "h3" for field in contract.fields):
        lines[-1] += f" H3 cells are of resolution {contract.h3_resolution}."
    lines += [
        "",
        "Every row also says where it came from:",
        "",
        "| column | type | what it is |",
        "|---|---|---|",
        *(f"| `{field.name}` | {field.type} | {_text(field.description)} |" for field in PROVENANCE),
    ]
    return "\n".join(lines) + "\n"


def _row(field: Field) -> str:
    wires = "computed" if field.derived else ", ".join(_wire(wire) for wire in field.wires)
    what = _text(field.description) + (" **Personal.**" if field.personal else "")
    return f"| `{field.name}` | {field.type} | {_text(field.unit or '')} | {wires} | {_must(field)} | {what.strip()} |"


def _wire(wire: Wire) -> str:
    text = _code(wire.name) + (f" ({wire.part})" if wire.part else "")
    if wire.scale != 1.0 or wire.offset != 0.0:
        text += f" × {wire.scale:g}" + (
            f" {'+' if wire.offset > 0 else '−'} {abs(wire.offset):g}" if wire.offset else ""
        )
    return text


def _must(field: Field) -> str:
    rules = ["there"] if field.required else []
    if field.minimum is not None and field.maximum is not None:
        rules.append(f"{_number(field.minimum)} to {_number(field.maximum)}")
    elif field.minimum is not None:
        rules.append(f"at least {_number(field.minimum)}")
    elif field.maximum is not None:
        rules.append(f"at most {_number(field.maximum)}")
    if field.allowed:
        rules.append("one of " + ", ".join(_text(value) for value in field.allowed))
    if field.max_length is not None:
        rules.append(f"at most {field.max_length} characters")
    if field.picture:
        rules.append("a picture")
    return "; ".join(rules)


def _number(value: float) -> str:
    return f"{value:.15g}".replace("-", "−", 1) if value < 0 else f"{value:.15g}"


def _span(seconds: int) -> str:
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"


def _text(text: str) -> str:
    """Text that stays in its cell and is no markup."""
    escaped = " ".join(text.split())
    for character in "\\|<>*_`[]":
        escaped = escaped.replace(character, "\\" + character)
    return escaped


def _code(text: str) -> str:
    """Code in a cell; a key on the wire may hold any printable character."""
    fence = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text.replace('|', chr(92) + '|')}{pad}{fence}"
