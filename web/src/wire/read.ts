// Receives an address of this server; gives its answer, or what it says against it. Every request of the page goes this way.

import { wire as text } from "../text/wire";

/** `status` 404: there is no such thing; 0: the server did not answer. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }

  /** The server did not answer at all. */
  get away(): boolean {
    return this.status === 0;
  }
}

export interface Way<T> {
  /** Sent as JSON by POST; left out: GET. */
  readonly body?: unknown;
  readonly limitMs?: number;
  /** Reads the answer; as JSON when left out. */
  readonly take?: ((answer: Response) => Promise<T>) | undefined;
}

const LIMIT_MS = 20_000;

/** An answer, read whole, bounded in time; one that breaks off counts as none. Rejects with Refused, or with the signal's
 *  reason. */
export async function read<T>(path: string, signal: AbortSignal, way: Way<T> = {}): Promise<T> {
  const limit = AbortSignal.timeout(way.limitMs ?? LIMIT_MS);
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(way.body) };
  const take = way.take ?? (async (answer: Response) => (await answer.json()) as T);
  try {
    const answer = await fetch(path, {
      signal: AbortSignal.any([signal, limit]),
      ...(way.body === undefined ? {} : post),
    });
    if (!answer.ok) throw new Refused((await sentence(answer)) ?? text.without(answer.status), answer.status);
    return await take(answer);
  } catch (error) {
    if (signal.aborted || error instanceof Refused) throw error;
    throw new Refused(text.away, 0);
  }
}

/** The server's own sentence about a refusal; null where it has none. What does not fit the route comes as a list. */
async function sentence(answer: Response): Promise<string | null> {
  const body = (await answer.json().catch(() => null)) as { detail?: unknown } | null;
  const detail = body?.detail;
  if (typeof detail === "string") return detail;
  if (!Array.isArray(detail)) return null;
  return detail.map((one: { msg?: unknown; loc?: unknown[] }) => `${one.loc?.at(-1) ?? ""}: ${one.msg}`).join("; ");
}
