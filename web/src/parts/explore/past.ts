// Receives queries that were run; keeps the last ones in this browser.

export interface Run {
  readonly sql: string;
  /** ms since 1970. */
  readonly at: number;
  readonly rows: number | null;
  readonly seconds: number | null;
}

export const KEPT = 20;
const KEY = "explore.runs";

export function readRuns(storage: Pick<Storage, "getItem">): Run[] {
  try {
    const kept = JSON.parse(storage.getItem(KEY) ?? "[]") as unknown;
    return Array.isArray(kept)
      ? kept.filter((r) => typeof r?.sql === "string" && typeof r?.at === "number").slice(0, KEPT)
      : [];
  } catch {
    return [];
  }
}

/** The runs with this one first; the same text stands once. */
export function withRun(runs: readonly Run[], run: Run): Run[] {
  return [run, ...runs.filter((r) => r.sql.trim() !== run.sql.trim())].slice(0, KEPT);
}

export function writeRuns(storage: Pick<Storage, "setItem">, runs: readonly Run[]): void {
  try {
    storage.setItem(KEY, JSON.stringify(runs));
  } catch {
    // storage may be full or switched off: the list then lasts as long as the page
  }
}
