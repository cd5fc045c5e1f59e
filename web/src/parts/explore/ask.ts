// Receives SQL; gives the rows, a file, or the sentence that says why not.

import type { Column } from "../../charts/shape";
import { explore as text } from "../../text/explore";

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

/** What the server says is wrong; FastAPI's own refusals come as a list. */
export class Refused extends Error {}

async function refusal(answer: Response): Promise<Refused> {
  try {
    const { detail } = (await answer.json()) as { detail: string | { msg: string; loc?: unknown[] }[] };
    if (typeof detail === "string") return new Refused(detail);
    return new Refused(detail.map((d) => `${d.loc?.at(-1) ?? ""}: ${d.msg}`).join("; "));
  } catch {
    return new Refused(`${text.away} (${answer.status})`);
  }
}

async function post(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(text.away);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export async function ask(sql: string, limit: number, signal: AbortSignal): Promise<Answer> {
  return (await (await post("/api/sql", { sql, limit }, signal)).json()) as Answer;
}

/** The file, its name, and whether there were more rows than it may hold. */
export async function exportFile(
  sql: string,
  format: "csv" | "parquet",
  signal: AbortSignal,
): Promise<{ file: Blob; name: string; cut: boolean }> {
  const answer = await post("/api/sql/export", { sql, format }, signal);
  const name =
    /filename="?([^";]+)"?/.exec(answer.headers.get("content-disposition") ?? "")?.[1] ?? `watling.${format}`;
  return { file: await answer.blob(), name, cut: answer.headers.get("x-watling-truncated") === "true" };
}

export async function tables(signal: AbortSignal): Promise<TableInfo[]> {
  const answer = await fetch("/api/sql/tables", { signal });
  if (!answer.ok) throw await refusal(answer);
  return (await answer.json()) as TableInfo[];
}

/** Let the browser save it. */
export function save(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
