"""Receives `watling contracts …`; lists, shows, checks and compiles the contracts in force."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts as all_contracts
from watling.cli.flags import settings
from watling.errors import EXIT_FOUND, UsageError

if TYPE_CHECKING:
    from watling.contracts.model import Contract, Field

JSON = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
TARGETS = "arrow, iceberg, json-schema, typescript, markdown, plan"


def register(app: typer.Typer) -> None:
    """Add the group."""
    group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="contracts", help="What each stream's events are: list, show, check, compile.")

    @group.command("list", epilog=examples(("watling --contracts ./mine contracts list", "the five and your own")))
    def list_(context: typer.Context, json_: JSON = False) -> None:
        """The contracts in force: stream, topic, version, columns, and the file each comes from."""
        found = all_contracts(settings(context)).values()
        if json_:
            output.as_json([_summary(c) for c in found])
            return
        rows = [[c.name, c.topic, c.version, len(c.fields), c.key, c.source or "built in"] for c in found]
        output.table(["stream", "topic", "version", "columns", "key", "from"], rows)

    @group.command(
        epilog=examples(
            ("watling contracts show vehicle", "its columns, where each comes from, what it must satisfy"),
            ("watling contracts show gps --json", "the decode plan"),
        )
    )
    def show(context: typer.Context, stream: str, json_: JSON = False) -> None:
        """One contract for people; with --json as the plan that the pipeline follows."""
        contract = _one(context, stream)
        if json_:
            from watling.contracts.targets import plan

            output.as_json(plan.compile(contract))
            return
        output.say(f"{contract.name} {contract.version} · topic {contract.topic} · key {contract.key}")
        if contract.description:
            output.say(contract.description)
        rows = [[f.name, f.type, f.unit, _wires(f), _must(f)] for f in contract.fields]
        output.table(["column", "type", "unit", "from the wire", "must be"], rows)

    @group.command(
        epilog=examples(
            ("watling contracts check noise.odcs.yaml", "all faults at once, each with its line"),
            ("watling contracts check *.yaml --json", "for an editor or CI; ends with 1 when there is a fault"),
        )
    )
    def check(files: Annotated[list[Path], typer.Argument(metavar="FILE…")], json_: JSON = False) -> None:
        """Check contract files; prints every fault with its line. Ends with 1 when there is one."""
        from watling.contracts import check_file

        if missing := [str(f) for f in files if not f.is_file()]:
            raise UsageError(f"no such file: {', '.join(missing)}")
        faults = [fault for file in files for fault in check_file(file)]
        if json_:
            output.as_json({"ok": not faults, "faults": faults})
        else:
            for fault in faults:
                output.say(str(fault))
            if not faults:
                output.say(f"{', '.join(map(str, files))}: no fault")
        if faults:
            raise typer.Exit(EXIT_FOUND)

    @group.command(
        epilog=examples(
            ("watling contracts compile vehicle --target json-schema", "what a producer must send"),
            ("watling contracts compile --target typescript > rows.ts", "of all streams"),
            ("watling contracts compile --target markdown --out docs/streams", "a file for each"),
        )
    )
    def compile(
        context: typer.Context,
        streams: Annotated[list[str] | None, typer.Argument(metavar="[STREAM…]", help="Default: all.")] = None,
        target: Annotated[str, typer.Option(help=f"One of: {TARGETS}.")] = "",
        out: Annotated[Path | None, typer.Option(metavar="DIR", help="Write a file for each stream there.")] = None,
    ) -> None:
        """Compile contracts to what other tools read."""
        from watling.contracts.targets import TARGETS as targets
        from watling.contracts.targets import compile_target

        if target not in targets:
            raise UsageError(f"{'say --target' if not target else f'there is no target {target!r}'}: one of {TARGETS}")
        known = all_contracts(settings(context))
        chosen = [_pick(known, name) for name in streams or known]
        for contract in chosen:
            text = compile_target(contract, target)
            if out is None:
                output.say(text.rstrip("\n"))
            else:
                write_text(out / f"{contract.name}{SUFFIXES[target]}", text)


SUFFIXES = {
    "arrow": ".arrow.txt",
    "iceberg": ".iceberg.json",
    "json-schema": ".schema.json",
    "typescript": ".ts",
    "markdown": ".md",
    "plan": ".plan.json",
}


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(path.suffix + ".tmp")
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
    output.note(f"wrote {path}")


def _one(context: typer.Context, stream: str) -> Contract:
    return _pick(all_contracts(settings(context)), stream)


def _pick(known: dict[str, Contract], stream: str) -> Contract:
    if stream not in known:
        raise UsageError(f"no such stream: {stream}. There are: {', '.join(known)}")
    return known[stream]


def _summary(contract: Contract) -> dict[str, Any]:
    return {
        "stream": contract.name,
        "topic": contract.topic,
        "version": contract.version,
        "columns": [f.name for f in contract.fields],
        "key": contract.key,
        "description": contract.description,
        "source": contract.source,
    }


def _wires(field: Field) -> str:
    if field.derived:
        return "computed"
    return ", ".join(f"{w.name}.{w.part}" if w.part else w.name for w in field.wires)


def _must(field: Field) -> str:
    rules = ["there"] if field.required else []
    if field.minimum is not None or field.maximum is not None:
        low = "" if field.minimum is None else f"{field.minimum:g}"
        high = "" if field.maximum is None else f"{field.maximum:g}"
        rules.append(f"{low}…{high}")
    if field.allowed:
        rules.append("one of " + ", ".join(field.allowed))
    if field.personal:
        rules.append("(personal)")
    return ", ".join(rules)
