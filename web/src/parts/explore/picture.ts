// Receives an answer; gives how it may be drawn: which kinds, which columns, and a histogram's bins. Pure.

import { type Column, isNumber, isTime, type Kind, type Row, toNumber } from "../../charts/shape";

export type View = "table" | Kind;
export const VIEWS: readonly View[] = ["table", "bars", "pie", "line", "histogram"];
const BINS = 24;

/** Views that these columns can be drawn as. */
export function possible(columns: readonly Column[], rows: number): View[] {
  const numbers = columns.filter(isNumber).length;
  if (rows === 0 || numbers === 0) return ["table"];
  const others = columns.length - numbers;
  const across = others > 0 || numbers > 1;
  return VIEWS.filter((v) => v === "table" || v === "histogram" || across);
}

/** What most people would draw of it. */
export function suggested(columns: readonly Column[], rows: number): View {
  const can = possible(columns, rows);
  if (rows < 2 || can.length === 1) return "table";
  if (columns.some(isTime) && rows > 2 && columns.length <= 4 && can.includes("line")) return "line";
  if (columns.length === 1) return "histogram";
  const words = columns.filter((c) => !isNumber(c) && !isTime(c)).length;
  return words === 1 && columns.length <= 4 && rows <= 40 ? "bars" : "table";
}

/** Rows of [from, count] over `bins` equal steps of the numbers in one column; steps are round. */
export function bins(rows: readonly Row[], index: number, wanted: number = BINS): [string, number][] {
  const values = rows.map((r) => toNumber(r[index])).filter((v) => v !== null);
  if (values.length === 0) return [];
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const step = round((high - low) / wanted) || 1;
  const first = Math.floor(low / step);
  const counts = new Array<number>(Math.floor(high / step) - first + 1).fill(0);
  for (const value of values) {
    const at = Math.floor(value / step) - first;
    counts[at] = (counts[at] ?? 0) + 1;
  }
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  return counts.map((n, i) => [((first + i) * step).toFixed(digits), n]);
}

/** The next of 1, 2, 5, 10, … above a width. */
function round(width: number): number {
  if (!(width > 0)) return 0;
  const power = 10 ** Math.floor(Math.log10(width));
  return ([1, 2, 5].find((f) => f * power >= width) ?? 10) * power;
}
