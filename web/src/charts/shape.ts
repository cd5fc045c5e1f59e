// Receives columns and rows as the server answers them; gives charts what they draw. Pure.

import { charts as text } from "../text/charts";

export interface Column {
  readonly name: string;
  /** As the server names it: a contract's type (`string`, `double`, `timestamp`, …) or Arrow's. */
  readonly type: string;
  readonly unit?: string | null | undefined;
}

export type Row = readonly unknown[];
export type Kind = "bars" | "pie" | "line" | "histogram";

/** Which columns are drawn, by name; what is left out is chosen. An empty `series`: not split, whatever there is. */
export interface Choice {
  readonly x?: string | null | undefined;
  readonly y?: string | null | undefined;
  readonly series?: string | null | undefined;
}

export interface Category {
  readonly name: string;
  /** The value that a filter gets; null where there is none to filter by. */
  readonly value: string | null;
  /** Several in one: which they are, the table tells. */
  readonly joined?: boolean;
}

export interface Grouped {
  readonly categories: readonly Category[];
  readonly series: readonly { readonly name: string; readonly values: readonly (number | null)[] }[];
  /** Categories there are, with those left out. */
  readonly of: number;
}

export interface Lines {
  readonly time: boolean;
  /** Seconds since 1970 where `time`. Ascending. */
  readonly x: readonly number[];
  readonly series: readonly Line[];
}

export interface Line {
  readonly name: string;
  readonly unit: string;
  readonly values: readonly (number | null)[];
}

/** Lines that may share an axis: those of one unit, by their number among all. */
export interface Panel {
  readonly unit: string;
  readonly of: readonly number[];
}

export const MAX_BARS = 40;
export const MAX_SLICES = 8;
export const MAX_LINES = 8;

const NUMBERS = /^(u?int\d*|long|integer|bigint|float|double|decimal|half|real|number)/i;
const TIMES = /^(timestamp|date|time\b)/i;

export const isNumber = (column: Column): boolean => NUMBERS.test(column.type);
export const isTime = (column: Column): boolean => TIMES.test(column.type);

export function toNumber(value: unknown): number | null {
  if (typeof value === "number") return Number.isFinite(value) ? value : null;
  if (typeof value === "bigint") return Number(value);
  if (typeof value === "boolean") return value ? 1 : 0;
  return null;
}

/** ms since 1970 of a time as the server writes it (ISO 8601, or ms already). */
export function toMs(value: unknown): number | null {
  if (typeof value === "number") return value;
  if (typeof value !== "string") return null;
  const zoned = /(Z|[+-]\d\d:?\d\d)$/.test(value) || /^\d{4}-\d\d-\d\d$/.test(value) ? value : `${value}Z`;
  const ms = Date.parse(zoned);
  return Number.isNaN(ms) ? null : ms;
}

export function label(value: unknown): string {
  if (value === null || value === undefined || value === "") return text.missing;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** The columns that are drawn: those named, else the first that fit. -1 where there is none. */
export function choose(
  kind: Kind,
  columns: readonly Column[],
  choice: Choice,
): { x: number; y: number[]; series: number } {
  const named = (name: string | null | undefined) => (name ? columns.findIndex((c) => c.name === name) : -1);
  const first = (test: (c: Column, i: number) => boolean) => columns.findIndex(test);
  let x = named(choice.x);
  if (x < 0 && kind === "line") x = first(isTime);
  if (x < 0 && (kind === "bars" || kind === "pie")) x = first((c) => !isNumber(c));
  if (x < 0) x = columns.length > 0 ? 0 : -1;
  let series = named(choice.series);
  const wanted = named(choice.y);
  const numbers = columns.map((c, i) => (isNumber(c) && i !== x && i !== series ? i : -1)).filter((i) => i >= 0);
  const y = wanted >= 0 ? [wanted] : numbers;
  if (series < 0 && kind === "line" && choice.series !== "")
    series = first((c, i) => i !== x && !isNumber(c) && !isTime(c));
  return { x, y: series >= 0 ? y.slice(0, 1) : y, series };
}

/** Rows as bars or slices: a category each value of x. Rows that name each category once keep their order, as whoever
 *  asked ordered them; else, and for a pie, the largest come first unless x has an order of its own. */
export function group(kind: Kind, columns: readonly Column[], rows: readonly Row[], choice: Choice): Grouped {
  const { x, y, series } = choose(kind, columns, choice);
  if (x < 0 || y.length === 0) return { categories: [], series: [], of: 0 };
  const names = new Map<string, Category>();
  const totals = new Map<string, number>();
  const cells = new Map<string, Map<string, number | null>>();
  for (const row of rows) {
    const name = label(row[x]);
    if (!names.has(name))
      names.set(name, { name, value: row[x] === null || row[x] === undefined ? null : String(row[x]) });
    const into =
      series >= 0 ? [[label(row[series]), y[0]] as const] : y.map((i) => [(columns[i] as Column).name, i] as const);
    for (const [one, index] of into) {
      const value = toNumber(row[index as number]);
      const known = cells.get(one) ?? new Map<string, number | null>();
      known.set(name, value === null ? (known.get(name) ?? null) : (known.get(name) ?? 0) + value);
      cells.set(one, known);
      totals.set(name, (totals.get(name) ?? 0) + Math.abs(value ?? 0));
    }
  }
  const ordered = kind === "histogram" || isTime(columns[x] as Column) || isNumber(columns[x] as Column);
  const keys = [...names.keys()];
  const asAsked = kind !== "pie" && names.size === rows.length;
  if (!ordered && !asAsked) keys.sort((a, b) => (totals.get(b) ?? 0) - (totals.get(a) ?? 0));
  return {
    categories: keys.map((k) => names.get(k) as Category),
    series: [...cells].map(([name, values]) => ({ name, values: keys.map((k) => values.get(k) ?? null) })),
    of: keys.length,
  };
}

/** At most `limit` categories; the rest of a pie become one slice without a value, of bars they are left out. */
export function atMost(grouped: Grouped, limit: number, join: boolean): Grouped {
  if (grouped.categories.length <= limit) return grouped;
  const kept = join ? limit - 1 : limit;
  const rest = (values: readonly (number | null)[]) => values.slice(kept).reduce<number>((a, b) => a + (b ?? 0), 0);
  return {
    categories: [
      ...grouped.categories.slice(0, kept),
      ...(join ? [{ name: text.other, value: null, joined: true }] : []),
    ],
    series: grouped.series.map((s) => ({
      name: s.name,
      values: [...s.values.slice(0, kept), ...(join ? [rest(s.values)] : [])],
    })),
    of: grouped.of,
  };
}

/** Rows as lines over x: a line each number column, or each value of the series column. */
export function lines(columns: readonly Column[], rows: readonly Row[], choice: Choice): Lines {
  const { x, y, series } = choose("line", columns, choice);
  if (x < 0 || y.length === 0) return { time: false, x: [], series: [] };
  const time = isTime(columns[x] as Column);
  const read = (row: Row) => {
    const value = time ? toMs(row[x]) : toNumber(row[x]);
    return value === null ? null : time ? value / 1000 : value;
  };
  const at = [...new Set(rows.map(read).filter((v) => v !== null))].sort((a, b) => a - b);
  const place = new Map(at.map((v, i) => [v, i]));
  const found = new Map<string, { unit: string; values: (number | null)[] }>();
  for (const row of rows) {
    const where = place.get(read(row) as number);
    if (where === undefined) continue;
    const into =
      series >= 0 ? [[label(row[series]), y[0]] as const] : y.map((i) => [(columns[i] as Column).name, i] as const);
    for (const [name, index] of into) {
      const unit = columns[index as number]?.unit ?? "";
      const line = found.get(name) ?? { unit, values: new Array<number | null>(at.length).fill(null) };
      line.values[where] = toNumber(row[index as number]);
      found.set(name, line);
    }
  }
  return { time, x: at, series: [...found].slice(0, MAX_LINES).map(([name, line]) => ({ name, ...line })) };
}

/** A panel each unit, in the order of the lines. Where `unit` is given it is that of every line. */
export function panels(lines: Lines, unit: string): Panel[] {
  const found = new Map<string, number[]>();
  lines.series.forEach((line, i) => {
    const one = unit || line.unit;
    found.set(one, [...(found.get(one) ?? []), i]);
  });
  return [...found].map(([unit, of]) => ({ unit, of }));
}
