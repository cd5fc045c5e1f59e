// Receives SQL; gives the rows, a file, or the sentence that says why not.

import type { Column } from "../../charts/shape";
import { read } from "../../wire/read";

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
  return await read<Answer>("/api/sql", signal, { body: { sql, limit }, limitMs: LIMIT_MS });
}

/** The file, its name, and whether there were more rows than it may hold. */
export async function exportFile(
  sql: string,
  format: "csv" | "parquet",
  signal: AbortSignal,
): Promise<{ file: Blob; name: string; cut: boolean }> {
  const take = async (answer: Response) => {
    const name = /filename="?([^";]+)"?/.exec(answer.headers.get("content-disposition") ?? "")?.[1];
    const cut = answer.headers.get("x-watling-truncated") === "true";
    return { file: await answer.blob(), name: name ?? `watling.${format}`, cut };
  };
  return await read("/api/sql/export", signal, { body: { sql, format }, limitMs: LIMIT_MS, take });
}

export async function tables(signal: AbortSignal): Promise<TableInfo[]> {
  return await read<TableInfo[]>("/api/sql/tables", signal);
}

/** Let the browser save it. */
export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
