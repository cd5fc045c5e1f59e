// Receives an address of this server; gives its answer, or what it says against it. Every request of the page goes this way.

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

export interface Way {
  /** Sent as JSON by POST; left out: GET. */
  readonly body?: unknown;
  readonly limitMs?: number;
}

const LIMIT_MS = 20_000;

/** An answer, bounded in time. `away` is the sentence for a server that does not answer, or answers with none. Rejects
 *  with Refused, or with the signal's reason. */
export async function ask(path: string, signal: AbortSignal, away: string, way: Way = {}): Promise<Response> {
  const limit = AbortSignal.timeout(way.limitMs ?? LIMIT_MS);
  const post = { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(way.body) };
  let answer: Response;
  try {
    answer = await fetch(path, { signal: AbortSignal.any([signal, limit]), ...(way.body === undefined ? {} : post) });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(away, 0);
  }
  if (answer.ok) return answer;
  throw new Refused((await sentence(answer)) ?? `${away} (${answer.status})`, answer.status);
}

/** The same, read as JSON. An answer that breaks off counts as none. */
export async function read<T>(path: string, signal: AbortSignal, away: string, way: Way = {}): Promise<T> {
  const answer = await ask(path, signal, away, way);
  try {
    return (await answer.json()) as T;
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(away, 0);
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
