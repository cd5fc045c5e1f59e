"""Receives nothing; gives the parity suite its records: what devices send at their worst, by rounds.

A round is what the topic holds when both engines make one pass: a batch of each.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from PIL import Image

RECORD_TIME = datetime(2026, 11, 24, 12, tzinfo=UTC)
EVENT_TIME = datetime(2026, 11, 24, 11, 30, tzinfo=UTC)

MEASURE = """\
apiVersion: v3.2.0
kind: DataContract
id: measure
version: 1.0.0
status: active
schema:
  - name: measure
    physicalName: {topic}
    customProperties:
      - {{property: key, value: site}}
      - {{property: sort, value: [site, event_time]}}
      - {{property: dedupWindowSeconds, value: 600}}
    properties:
      - {{name: id, logicalType: string, required: true, customProperties: [{{property: fieldId, value: 1}}]}}
      - name: event_time
        logicalType: timestamp
        required: true
        customProperties: [{{property: fieldId, value: 2}}, {{property: wire, value: [timestamp]}}]
      - {{name: site, logicalType: string, required: true, customProperties: [{{property: fieldId, value: 3}}]}}
      - {{name: reading, logicalType: number, customProperties: [{{property: fieldId, value: 4}}]}}
      - {{name: count, logicalType: integer, {widened}customProperties: [{{property: fieldId, value: 5}}]}}
      - name: total
        logicalType: integer
        logicalTypeOptions: {{format: i64}}
        customProperties: [{{property: fieldId, value: 6}}]
      - {{name: ok, logicalType: boolean, customProperties: [{{property: fieldId, value: 7}}]}}
      - {{name: seen_at, logicalType: timestamp, customProperties: [{{property: fieldId, value: 8}}]}}
      - name: note
        logicalType: string
        logicalTypeOptions: {{maxLength: 40}}
        customProperties: [{{property: fieldId, value: 9}}]
      - name: temperature_c
        logicalType: number
        logicalTypeOptions: {{minimum: -40, maximum: {hottest}}}
        customProperties:
          - {{property: fieldId, value: 10}}
          - property: wire
            value: [tempC, {{name: tempF, scale: 0.5555555555555556, offset: -17.77777777777778}}]
{more}"""
WIDENED = "logicalTypeOptions: {format: i64}, "
ADDED = "      - {name: operator, logicalType: string, customProperties: [{property: fieldId, value: 11}]}\n"


def measure_contract(topic: str, *, evolved: bool = False, hottest: int = 80) -> str:
    """The contract of the suite's own stream; `evolved` has one more optional column and a wider integer."""
    return MEASURE.format(
        topic=topic, widened=WIDENED if evolved else "", more=ADDED if evolved else "", hottest=hottest
    )


@dataclass(frozen=True, slots=True)
class Sent:
    """One record as it is produced. `at` is its Kafka timestamp."""

    value: bytes | None
    key: bytes | None = b"k"
    headers: tuple[tuple[str, bytes | None], ...] | None = None
    partition: int = 0
    at: datetime = RECORD_TIME


def measure(id_: str, when: datetime | str = EVENT_TIME, **fields: str) -> bytes:
    """A measure; each of `fields` is JSON text and stands in the record as it is."""
    at = when if isinstance(when, str) else f'"{when.isoformat()}"'
    more = "".join(f", {json.dumps(name)}: {text}" for name, text in fields.items())
    return f'{{"id": {json.dumps(id_)}, "timestamp": {at}, "site": "s1"{more}}}'.encode("utf-8", "surrogatepass")


NUMBERS = """0 -0 -0.0 0.0 1. .5 01 +5 1e5 1E5 1e+5 1.5E-7 1e400 -1e400 1e-400 NaN Infinity -Infinity 1.7976931348623157e308
1.7976931348623159e308 4.9e-324 2e-324 2.2250738585072011e-308 0.1 0.30000000000000004 0.1000000000000000055511151231257827
123456789012345678 12345678901234567.0 9007199254740993 9007199254740992.9999 100000000000000000000000 3.14159265358979312
8.41e21 7.2057594037927933e16 1e23 5e-324 1e22 0e999999 1e2147483648 1.e5 0x10 1_000 1,5 - + e5 true null [] {} [1] ""
"NaN" "nan" "Infinity" "inf" "-inf" "1e400" "1e5" "+5" "-0.0" "1." ".5" "01" "1_000" "0x1F" "1,5" "1e" "--1" "٣"
"１２" "1\\u00a0000" "12abc" "true" "null" "0.1000000000000000055511151231257827021181583404541015625" "9007199254740993"
2147483647 2147483648 -2147483648 -2147483649 9223372036854775807 9223372036854775808 -9223372036854775808
-9223372036854775809 18446744073709551616 1.0 1.5 1e3 1e18 9.007199254740993e15 9.223372036854775807e18 1e-3 "1.0" "1e3"
"9223372036854775807" "9223372036854775808" "-9223372036854775809" "2147483648" "0000000000000000000000000000001" """.split()  # noqa: SIM905 - a word a case
NUMBERS += ['" 5"', '"5 "']
BOOLEANS = 'true false "true" "TRUE" "False" "tRuE" 1 0 "1" "0" 1.0 0.0 2 -1 "yes" "t" "" null [] {} True'.split()  # noqa: SIM905 - a word a case
TIMES = [
    *(
        f'"{text}"'
        for text in """2026-11-24T11:30:00Z 2026-11-24T11:30:00.5Z 2026-11-24T11:30:00.123456Z
        2026-11-24T11:30:00.1234567Z 2026-11-24T11:30:00.999999999Z 2026-11-24T12:30:00.123456789+01:00
        2026-11-24T11:30 2026-11-24T11:30:00 2026-11-24t11:30:00z 20261124T113000Z 2026-11-24T11:30:00,5Z
        2026-11-24T08:00:00-0330 2026-11-24T12:30:00+01 2026-11-25T01:30:00+14:00 2026-11-23T23:30:00-12:00
        2026-11-24T11:30:00+23:59 2026-11-24T11:30:00+24:00 2026-11-24T11:30:00+01:0x 2026-11-24T11:30:00-00:00
        2026-03-29T01:30:00 2026-10-25T01:30:00 2024-02-29T12:00:00Z 2023-02-29T12:00:00Z 2026-11-24T24:00:00Z
        2016-12-31T23:59:60Z 1999-12-31T23:59:59.999999Z 2000-01-01T00:00:00Z 2000-01-01T00:30:00+00:30
        2000-01-01T00:30:00+00:31 1969-12-31T23:59:59Z 0001-01-01T00:00:00Z 9999-12-31T23:59:59.999999Z
        10000-01-01T00:00:00Z 1582-10-10T00:00:00Z 2026-11-25T12:00:00Z 2026-11-25T12:00:00.000001Z
        2026-11-25T11:59:59.999999Z 2026-11-25T13:00:00+01:00 2026-W48-2 2026-11-24 now infinity epoch NaT 1e9
        1790000000 1790000000.5 1790000000123 1790000000123456 1790000000123456789 -1""".split()  # noqa: SIM905 - a word a case
    ),
    *(f'"{text}"' for text in ("2026-11-24 11:30:00", "2026-11-24 11:30:00 +01:00", " 2026-11-24T11:30:00Z ", "")),
    '"2026-11-24T11:30:00 Europe/London"',
    '"24/11/2026 11:30"',
    *"1795519800 1795519800.25 1795519800123 1795519800123456 1795519800123456789 0 -1 1e9 1.7955198e9 1795519800.1234567".split(),  # noqa: SIM905 - a word a case
    *"946684800 946684799.999999 99999999999 1e400 NaN true null [] {} [2026]".split(),  # noqa: SIM905 - a word a case
]
TEXTS = [
    '""', '" "', '"null"', "null", "true", "12", "-3.50", "1e5", "1.0", "12345678901234567890", "[]", "{}", '["a"]',
    '"Straße 5"', '"東京都"', '"caf\u00e9"', '"cafe\u0301"', '"\U0001f600"', '"\\ud83d\\ude00"', '"\\ud800"', '"a\\udc00b"',
    '"\\ude00\\ud83d"', '"\ud800"', '"a\\u0000b"', '"\\ufeffbom"', '"\ufeffbom"', '"\\uffff\\ufffe"', '"\u202eabc"',
    '"\\u2028\\u2029"', '"tab\\there"', '"tab\there"', '"line\\nbreak"', '"line\nbreak"', '"\\u0041\\/\\b\\f"', '"\\x41"',
    '"a \\"b\\" \\\\ c"', '"{curly}"', '"[x"', '"%s"', json.dumps("x" * 40), json.dumps("x" * 41),
    '"' + "\U0001f600" * 40 + '"', '"' + "\U0001f600" * 41 + '"', '"' + "e\u0301" * 20 + '"', '"' + "\\ud83d\\ude00" * 40 + '"',
]  # fmt: skip


def forms() -> list[Sent]:
    """Every number, truth value, time and text in each column that may hold it, one record each."""
    values = []
    for column, texts in (
        *((name, NUMBERS) for name in ("reading", "count", "total", "tempC", "tempF", "note")),
        *((name, BOOLEANS) for name in ("ok", "reading", "count")),
        *((name, TIMES) for name in ("seen_at", "note")),
        *((name, TEXTS) for name in ("note", "site", "reading")),
    ):
        values += [measure(f"{column}-{number}-{len(values)}", **{column: text}) for number, text in enumerate(texts)]
    values += [measure(f"time-{number}", when=text) for number, text in enumerate(TIMES)]
    values += [measure(f"fuß-{n}").replace(b'"fu', b'"id-\\u0000\\ufeff') for n in range(3)]
    values += [measure("x").replace(b'"x"', text.encode("utf-8", "surrogatepass")) for text in TEXTS]
    return [Sent(value, partition=number % 3) for number, value in enumerate(values)]


def envelopes() -> list[Sent]:
    """Keys, headers, tombstones, record times and bytes that are no event at all."""
    headers: list[tuple[tuple[str, bytes | None], ...] | None] = [
        None, (), (("h", b"1"),), (("h", b"1"), ("h", b"2"), ("a", None)), (("", b""),), (("ü", b"\xff\x00"),),
    ]  # fmt: skip
    values: list[bytes | None] = [
        None, b"", b" ", b"\n\r\t", b"{", b"[1]", b"null", b"5", b'"text"', b"{}", b"\xff\xfe", b"\xef\xbb\xbf{}", b"\x00",
        b'{"id": "cut', '{"id": "sixteen"}'.encode("utf-16"), b'{"a": "\xed\xa0\x80"}',
    ]  # fmt: skip
    sent = []
    for number, value in enumerate(values):
        for key in (None, b"", b"k", b"\xff\x00", "straße".encode()):
            which = headers[(number + len(key or b"")) % len(headers)]
            sent.append(Sent(value, key, which, len(sent) % 3, RECORD_TIME - timedelta(milliseconds=len(sent))))
    for number, which in enumerate(headers):
        sent.append(Sent(measure(f"head-{number}"), None, which, number % 3))
        sent.append(Sent(measure(f"bad-{number}", ok="7"), b"", which, number % 3))
    base = measure("dressed-")
    sent += [
        Sent(value, partition=number % 3)
        for number, value in enumerate(
            (
                b"\xef\xbb\xbf" + measure("bom"), measure("nul") + b"\x00", b" \r\n" + measure("white") + b"\n",
                measure("comma")[:-1] + b",}", measure("two") * 2, b"[" + measure("list") + b"]",
                base[:-1] + b', "id": "second"}', base.replace(b'"id"', b'"\\u0069d"'), base.replace(b'"id"', b'"ID"'),
                measure("deep")[:-1] + b', "other": ' + b"[" * 3000 + b"]" * 3000 + b"}",
                measure("nan")[:-1] + b', "other": NaN}', measure("half")[:-1] + b', "other": "\\ud800"}',
                measure("raw")[:-1] + b', "other": "line\nbreak"}', b'{"timestamp": 1}', b'{"id": null, "timestamp": null}',
            )
        )
    ]  # fmt: skip
    record_times = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2001, 1, 1, 0, 0, 0, 999000, tzinfo=UTC))
    sent += [
        Sent(measure(f"rt-{n}", at), at=record) for n, record in enumerate(record_times) for at in (record, EVENT_TIME)
    ]
    return sent


def repeated(first: str) -> list[Sent]:
    """Events sent again: at once, in another partition, at the window's edge, past it, at midnight. `first` begins the ids."""
    edge = timedelta(seconds=600)
    tick = timedelta(microseconds=1)
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    out = []
    for number, steps in enumerate(
        (
            (0 * tick, 0 * tick), (0 * tick, edge), (0 * tick, edge + tick), (edge, 0 * tick), (edge + tick, 0 * tick),
            (0 * tick, edge, 2 * edge, 3 * edge), (2 * edge, 0 * tick, edge), (0 * tick, edge - tick, edge + tick),
        )
    ):  # fmt: skip
        for way in range(3):
            for order, step in enumerate(steps):
                at = (EVENT_TIME if way < 2 else midnight - edge / 2) + step
                where = {0: 0, 1: (len(steps) - order) % 3, 2: order % 3}[way]
                out.append(Sent(measure(f"{first}-{number}-{way}", at - 3 * edge, note=f'"{order}"'), partition=where))
    out.append(Sent(measure(f"{first}-bad", ok="7")))  # a bad one does not make its repetition a duplicate
    out.append(Sent(measure(f"{first}-bad")))
    out.append(Sent(measure(f"{first}-bad", ok="7")))
    out += [
        Sent(measure(f"{first}-İ")),
        Sent(measure(f"{first}-i̇")),
        Sent(measure(f"{first}-I")),
        Sent(measure(f"{first}-i")),
    ]
    return out


def late() -> list[Sent]:
    """Events of forty days over a quarter of a century, each sent twice."""
    days = [datetime(2000, 1, 1, tzinfo=UTC) + timedelta(days=241 * n, seconds=n) for n in range(40)]
    return [
        Sent(measure(f"late-{n}", day), partition=(n + again) % 3) for again in (0, 1) for n, day in enumerate(days)
    ]


def evolved() -> list[Sent]:
    """Records of devices that know the new column and the wide counter already, before and after the contract does."""
    return [
        Sent(measure(f"wide-{n}-{tag}", count=text, operator=operator), partition=n % 3)
        for tag in ("a",)
        for n, (text, operator) in enumerate(
            (count, operator)
            for count in ("1", "2147483648", "-9223372036854775808", "9223372036854775808", "1.0")
            for operator in ('"Stagecoach"', "null", "7", "{}", '"\\u00e9"')
        )
    ]


def hot(first: str) -> list[Sent]:
    """Readings that are too hot for the first contract, some twice."""
    return [
        Sent(measure(f"{first}-{n % 15}", tempC=str(79 + n % 15)), key=f"k{n}".encode(), partition=n % 3)
        for n in range(20)
    ]


def pictures() -> list[Sent]:
    """Camera events: pictures in base64, the same one twice, cut ones, and text that is none."""

    def image(colour: str, kind: str) -> str:
        buffer = io.BytesIO()
        Image.new("RGB", (32, 24), colour).save(buffer, kind)
        return base64.b64encode(buffer.getvalue()).decode()

    red, blue = image("red", "JPEG"), image("blue", "PNG")
    snapshots: list[Any] = [
        red, blue, red, red[:40], "Base64EncodedString", "", None, f"data:image/jpeg;base64,{red}", red.rstrip("="),
        red.replace("/", "_").replace("+", "-"), "\n".join((red[:60], red[60:])), 5, {"a": 1}, "====", "sha256:" + "0" * 64,
    ]  # fmt: skip
    return [
        Sent(
            json.dumps(
                {
                    "id": f"shot-{number // 2 if number > 12 else number}",
                    "vehicle_id": "v",
                    "camera_id": "c1",
                    "location": [51.5, -0.1],
                    "timestamp": EVENT_TIME.isoformat(),
                    "snapshot": snapshot,
                }
            ).encode(),
            partition=number % 3,
        )
        for number, snapshot in enumerate(snapshots)
    ]
