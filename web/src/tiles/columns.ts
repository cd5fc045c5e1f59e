// Receives a tile's answer; gives its columns under names that people read, and the rows that a line may draw. Pure.

import type { TileAnswer } from "./state";

type Column = TileAnswer["columns"][number];

/** `speed_kmh` with its unit beside it -> `speed`; `_kafka_offset` -> `offset`. */
export function nameOf(column: Column): string {
  const known = column.unit ? column.name.replace(/_(kmh|deg|c|pct|m|mm|vph|lph|kgph)$/, "") : column.name;
  return known.replace(/^_kafka_/, "").replaceAll("_", " ");
}

/** Columns as a table or chart shows them. A year is a name, not an amount. */
export function shownColumns(columns: readonly Column[]): Column[] {
  return columns.map((c) => ({ name: nameOf(c), type: c.name === "year" ? "text" : c.type, unit: c.unit }));
}

/** Rows whose step of time lies within what the range and the lake cover: a step just begun would look like a fall.
 *  `from` is where the range begins, ms. */
export function finished(body: TileAnswer, x: string | null, from: number): TileAnswer["rows"] {
  const at = body.columns.findIndex((c) => c.name === x && c.type === "time");
  const times = [...new Set(body.rows.map((row) => row[at] as number))].sort((a, b) => a - b);
  const steps = times.slice(1).map((time, i) => time - (times[i] as number));
  if (at < 0 || times.length < 4 || body.as_of_ms === null) return body.rows;
  const step = steps.reduce((a, b) => Math.min(a, b));
  const end = body.as_of_ms;
  return body.rows.filter((row) => (row[at] as number) >= from && (row[at] as number) + step <= end);
}
