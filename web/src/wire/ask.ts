// Receives an address of this server; gives its answer, or what it says against it.

/** `status` 404: there is no such thing; 0: the server did not answer. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const LIMIT_MS = 20_000;

/** A GET, bounded in time. `away` is the sentence for a server that does not answer. Rejects with Refused, or with the
 *  signal's reason. */
export async function ask(path: string, signal: AbortSignal, away: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(path, { signal: AbortSignal.any([signal, AbortSignal.timeout(LIMIT_MS)]) });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Refused(away, 0);
  }
  if (answer.ok) return answer;
  throw new Refused((await sentence(answer)) ?? `${away} (${answer.status})`, answer.status);
}

/** The server's own sentence about a refusal; null where it has none. */
export async function sentence(answer: Response): Promise<string | null> {
  const body = (await answer.json().catch(() => null)) as { detail?: unknown } | null;
  return typeof body?.detail === "string" ? body.detail : null;
}
