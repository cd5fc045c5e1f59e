// Receives SQL; gives the rows, a file, or the sentence that says why not.

import type { Column } from "../../charts/shape";
import { explore as text } from "../../text/explore";
import { ask, read } from "../../wire/ask";

export interface Answer {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly unknown[])[];
  readonly truncated: boolean;
  readonly cut_by: "rows" | "bytes" | null;
  readonly seconds: number;
  readonly limits: { readonly rows: number; readonly bytes: number; readonly seconds: number };
}

export interface TableInfo {
  readonly name: string;
  readonly description: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly unit: string | null;
    readonly description: string;
  }[];
}

const LIMIT_MS = 600_000; // the server's own limit is the user's to set, and comes first

export async function run(sql: string, limit: number, signal: AbortSignal): Promise<Answer> {
  return await read<Answer>("/api/sql", signal, text.away, { body: { sql, limit }, limitMs: LIMIT_MS });
}

/** The file, its name, and whether there were more rows than it may hold. */
export async function exportFile(
  sql: string,
  format: "csv" | "parquet",
  signal: AbortSignal,
): Promise<{ file: Blob; name: string; cut: boolean }> {
  const answer = await ask("/api/sql/export", signal, text.away, { body: { sql, format }, limitMs: LIMIT_MS });
  const name =
    /filename="?([^";]+)"?/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? `watling.${format}`;
  return { file: await answer.blob(), name, cut: answer.headers.get("x-watling-truncated") === "true" };
}

export async function tables(signal: AbortSignal): Promise<TableInfo[]> {
  return await read<TableInfo[]>("/api/sql/tables", signal, text.away);
}

/** Let the browser save it. */
export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
