"""`check_file` on files with faults: all of them at once, each with its line and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from watling.contracts import Fault, check_file, load_contracts
from watling.contracts.names import RESERVED_WORDS

from .documents import MINIMAL

Write = Callable[..., Path]

HEAD = MINIMAL[: MINIMAL.index("    properties:")]
ID = "      - {name: id, logicalType: string, required: true}\n"
TIME = "      - {name: event_time, logicalType: timestamp, required: true}\n"


def columns(*lines: str) -> str:
    """A contract whose further columns stand from line 11 on."""
    return HEAD + "    properties:\n" + ID + TIME + "".join(f"      - {line}\n" for line in lines)


def on_line(faults: list[Fault], line: int) -> str:
    return "\n".join(fault.message for fault in faults if fault.line == line)


def test_all_faults_of_a_file_are_told_at_once_with_their_lines(write: Write) -> None:
    """Mending one fault a run is what people curse at three in the morning."""
    path = write(
        """\
apiVersion: v3.2.0
kind: DataContract
id: parking
version: 1.0
status: active
schema:
  - name: Parking Lots
    physicalType: table
    customProperties:
      - {property: dedupWindowSecond, value: 10}
      - {property: h3Resolution, value: 99}
      - {property: key, value: nobody}
    properties:
      - name: id
        logicalType: string
      - name: event_time
        logicalType: date
        requird: true
      - name: latitude
        logicalType: number
        logicalTypeOptions: {minimum: -100, pattern: x}
      - name: select
        logicalType: strin
        classification: secret
        enum: [{value: 1}]
      - name: level
        logicalType: integer
        logicalTypeOptions: {format: i8, minimum: 5, maximum: 3}
        customProperties:
          - {property: fieldId, value: 905}
          - {property: wires, value: [v]}
          - {property: wire, value: [{nme: x}, 3]}
      - name: level
        logicalType: string
"""
    )
    faults = check_file(path)
    assert [fault.line for fault in faults] == sorted(fault.line for fault in faults)
    for line, words in {
        4: "quotes",
        7: "'parking_lots'",
        8: "physicalType must be 'topic'",
        10: "did you mean 'dedupWindowSeconds'",
        11: "from 0 to 15",
        12: "'key' must name a column",
        14: "required: true",
        17: "cannot be of type 'date'",
        18: "did you mean 'required'",
        19: "no 'longitude'",
        21: "narrow the range",
        22: "a word of SQL",
        23: "did you mean 'string'",
        24: "nobody would protect it",
        25: "put it in quotes",
        28: "minimum 5 is above maximum 3",
        30: "from 1 to 899",
        31: "did you mean 'wire'",
        32: "did you mean 'name'",
        33: "twice",
    }.items():
        assert words in on_line(faults, line), f"line {line}: {on_line(faults, line)}"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no contract in it"),
        ("- a\n- b\n", 1, "no contract in it"),
        ("just words\n", 1, "no contract in it"),
        ("a: 1\nb: [1, 2\n", 3, "not valid YAML"),
        ("a: 'open\n", 2, "not valid YAML"),
        ("a: 1\n\tb: 2\n", 2, "not valid YAML"),
        ("a: 1\na: 2\n", 2, "keep one"),
        ("a: !!python/object:os.system {}\n", 1, "unknown key"),
        ("[" * 100_000, 0, "too deep"),
        ("a: &x [*x]\n", 1, "unknown key"),
        ("x: &a [1,2,3,4,5,6,7,8,9]\n" + "".join(f"x{i}: &{b} [{','.join(['*' + a] * 9)}]\n" for i, (a, b) in enumerate(zip("abcdef", "bcdefg", strict=True))), 0, "too large"),
    ],
)  # fmt: skip
def test_what_is_no_contract_at_all_is_said_with_its_line(write: Write, text: str, line: int, words: str) -> None:
    """A half-saved file is a message, not a traceback; a bomb does not eat the memory."""
    assert words in on_line(check_file(write(text)), line)


def test_files_that_cannot_be_read_are_said(tmp_path: Path) -> None:
    """A wrong path, a folder, bytes that are no text, a file far too large: a message each."""
    assert "cannot be read" in check_file(tmp_path / "no.yaml")[0].message
    assert "cannot be read" in check_file(tmp_path)[0].message
    (tmp_path / "b.yaml").write_bytes(b"a: 1\nb: \xff\n")
    assert check_file(tmp_path / "b.yaml") == [
        Fault(str(tmp_path / "b.yaml"), 2, "not UTF-8 text; save the file as UTF-8")
    ]
    (tmp_path / "c.yaml").write_bytes(b"#" * (1024 * 1024 + 1))
    assert "1 MiB" in check_file(tmp_path / "c.yaml")[0].message


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("{name: _x, logicalType: string}", "drop the '_'"),
        ("{name: value, logicalType: number}", "'reading'"),
        ("{name: freePlaces, logicalType: integer}", "'free_places'"),
        (f"{{name: {'a' * 65}, logicalType: integer}}", "up to 64"),
        ("{name: x}", "no logicalType"),
        ("{name: x, logicalType: object}", "cannot be of type 'object'"),
        ("{name: x, logicalType: number, logicalTypeOptions: {exclusiveMinimum: 0}}", "would not be checked"),
        ("{name: x, logicalType: string, logicalTypeOptions: {pattern: a}}", "would not be checked"),
        ("{name: x, logicalType: string, logicalTypeOptions: {maxLength: 0}}", "at least 1"),
        ("{name: x, logicalType: number, logicalTypeOptions: {minimum: .inf}}", "finite"),
        ("{name: x, logicalType: timestamp, logicalTypeOptions: {defaultTimezone: Europe/London}}", "UTC"),
        ("{name: x, logicalType: integer, enum: [{value: '1'}]}", "columns of type string"),
        ("{name: x, logicalType: string, enum: [{value: a}, {value: a}]}", "keep one"),
        ("{name: x, logicalType: string, primaryKey: true}", "'id' identifies an event"),
        ("{name: x, logicalType: string, customProperties: [{property: wire, value: []}]}", "from 1 to 20"),
        ("{name: x, logicalType: string, customProperties: [{property: wire, value: [a, a]}]}", "keep one"),
        ("{name: x, logicalType: string, customProperties: [{property: wire, value: {name: a, scale: 2}}]}", "for numbers"),
        ("{name: x, logicalType: number, customProperties: [{property: wire, value: {name: a, scale: 0}}]}", "scale 0"),
        ("{name: x, logicalType: number, customProperties: [{property: wire, value: {name: a, offset: .nan}}]}", "must be a number"),
        ("{name: x, logicalType: number, customProperties: [{property: wire, value: {name: a, part: up}}]}", "latitude or longitude"),
        ("{name: x, logicalType: string, customProperties: [{property: wire, value: 'a#latitude'}]}", "is a number"),
        ("{name: x, logicalType: string, customProperties: [{property: derived, value: true}]}", "nothing computes"),
        ("{name: x, logicalType: number, customProperties: [{property: picture, value: true}]}", "must be of type string"),
        ("{name: x, logicalType: number, customProperties: [{property: unit, value: 5}]}", "short text"),
        ("{name: x, logicalType: number, customProperties: [{property: unit, value: m}, {property: unit, value: m}]}", "twice"),
        ("{name: h3, logicalType: string}", "add both or remove it"),
    ],
)  # fmt: skip
def test_a_column_that_could_not_be_kept_is_refused(write: Write, column: str, words: str) -> None:
    """What Watling would not check, or could not store, it does not accept in silence."""
    faults = check_file(write(columns(column)))
    assert words in on_line(faults, 11), faults


def test_an_id_that_two_columns_share_or_that_is_missing_is_named_with_a_free_one(write: Write) -> None:
    """The user need not search the file for the next free number."""
    given = "{{name: {}, logicalType: string, customProperties: [{{property: fieldId, value: {}}}]}}"
    faults = check_file(write(columns(given.format("a", 7), given.format("b", 7), "{name: c, logicalType: string}")))
    assert "'b' one never used before, such as" in on_line(faults, 12)
    assert "the column 'c' has no fieldId" in on_line(faults, 13)


def test_two_schemas_or_none_are_refused(write: Write) -> None:
    """One file describes one stream; the second would be lost in silence."""
    assert "exactly one" in on_line(check_file(write(HEAD[: HEAD.index("schema:")])), 1)
    twice = MINIMAL + MINIMAL[MINIMAL.index("  - name: parking") :].replace("parking", "lots")
    assert "exactly one" in on_line(check_file(write(twice)), 6)


def test_version_2_of_the_standard_is_refused(write: Write) -> None:
    """Its documents look alike and mean other things."""
    assert "version 3" in on_line(check_file(write(MINIMAL.replace("v3.2.0", "v2.2.2"))), 1)


def test_a_version_is_one_word(write: Write) -> None:
    """It is part of identifiers that are compiled from the contract."""
    assert "such as 1.0.0" in on_line(check_file(write(MINIMAL.replace("version: 1.0.0", 'version: "1 */ x"'))), 4)


def test_what_a_file_holds_cannot_break_the_message(write: Write) -> None:
    """A control character in a name must not reach the terminal, nor a megabyte of it the log."""
    faults = check_file(
        write(columns('{name: "a\\e[31m\\nb", logicalType: string}', f"{{name: {'x' * 9000}, logicalType: string}}"))
    )
    assert "\\x1b[31m\\n" in on_line(faults, 11)
    assert len(on_line(faults, 12)) <= 1000


def test_properties_of_other_tools_pass(write: Write) -> None:
    """A document shared with a catalogue carries that tool's properties too."""
    other = "{name: x, logicalType: string, customProperties: [{property: piiScanner, value: 3}, {property: wires, value: 1, vendor: other}]}"
    assert check_file(write(columns(other))) == []


def test_every_part_of_the_standard_may_be_there(write: Write) -> None:
    """A full document of the standard is a contract too, not only the small ones of the docs."""
    more = """\
tags: [mobility]
domain: city
team: {name: traffic desk, members: [{username: ada}]}
slaProperties: [{property: latency, value: 3, unit: s}]
support: [{channel: "#traffic", url: "https://example.org"}]
"""
    assert check_file(write(MINIMAL + more)) == []


@pytest.mark.parametrize("name", ["quarantine", "select", "pg_x", "Cars", "1st", "", "a" * 65, "cars;drop", "main"])
def test_a_stream_name_that_sql_or_the_lake_could_not_bear_is_refused(write: Write, name: str) -> None:
    """The name is the table's: it must work without quotes everywhere."""
    assert "cannot be the name of a stream" in on_line(
        check_file(write(MINIMAL.replace("- name: parking", f'- name: "{name}"'))), 7
    )


def test_all_reserved_words_of_duckdb_are_known() -> None:
    """`watling sql` must take every column without quotes."""
    rows = duckdb.sql("select keyword_name from duckdb_keywords() where keyword_category = 'reserved'").fetchall()
    assert {word for (word,) in rows} <= RESERVED_WORDS


def test_the_event_time_range_is_read_as_utc(write: Write) -> None:
    """A bound without an offset is UTC as everywhere; with one it is turned."""
    text = MINIMAL.replace(
        "timestamp, required", "timestamp, logicalTypeOptions: {minimum: 2020-06-01T01:00:00+01:00}, required"
    )
    path = write(text)
    assert load_contracts(path.parent)["parking"].event_time_min == "2020-06-01T00:00:00Z"
    assert "a time such as" in on_line(check_file(write(text.replace("2020-06-01T01:00:00+01:00", "soon"))), 10)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(MINIMAL)), cut=st.integers(0, 30), junk=st.text(max_size=12))
def test_a_damaged_file_never_gives_a_traceback(write: Write, at: int, cut: int, junk: str) -> None:
    """Whatever an editor or a merge did to the file, the answer is faults with lines (or a legal contract)."""
    path = write(MINIMAL[:at] + junk.encode("utf-8", "replace").decode() + MINIMAL[at + cut :])
    for fault in check_file(path):
        assert fault.message
        assert fault.line >= 0
        assert "\n" not in str(fault)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["id", "string", "wire", "fieldId"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["name", "logicalType", "property", "value", "properties", "enum", "wire", "part", "scale", "logicalTypeOptions", "customProperties", "minimum", "maximum", "format", "required", "examples", "classification"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["schema", "stream", "column", "custom"]), value=anything)
def test_a_value_of_any_shape_at_any_place_never_gives_a_traceback(write: Write, key: str, value: object) -> None:
    """A list where a text belongs is a fault with a line."""
    import json

    text = (
        json.dumps(value, allow_nan=True)
        .replace("NaN", ".nan")
        .replace("-Infinity", "-.inf")
        .replace("Infinity", ".inf")
    )
    documents = {
        "schema": MINIMAL[: MINIMAL.index("schema:")] + f"schema: {text}\n",
        "stream": MINIMAL + f"    customProperties: {text}\n    physicalName: {text}\n",
        "column": columns(text),
        "custom": columns(f"{{name: x, logicalType: number, customProperties: [{{property: wire, value: {text}}}, {{property: fieldId, value: {text}}}, {{property: unit, value: {text}}}]}}"),
    }  # fmt: skip
    for fault in check_file(write(documents[key])):
        assert fault.message
        assert "\n" not in str(fault)
