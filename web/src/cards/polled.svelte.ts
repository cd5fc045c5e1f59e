// Receives a question; asks it, and again while its card is shown; gives the last answer and what is wrong with it.

import { Refused } from "../wire/read";

export class Polled<T> {
  /** The last answer; it stays while the next is asked for, and when that fails. */
  value = $state.raw<T | null>(null);
  /** Why the last attempt gave nothing. */
  fault = $state<string | null>(null);
  /** The server knows no such thing (yet). */
  missing = $state(false);

  /** Ask, one question at a time, and again `every` ms after each answer (null: once). Returns what ends it. */
  follow(ask: (signal: AbortSignal) => Promise<T>, every: number | null): () => void {
    const leaving = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let failed = 0;
    const again = async (): Promise<void> => {
      if (document.hidden && every !== null && this.value !== null) {
        timer = setTimeout(() => void again(), every);
        return;
      }
      try {
        const value = await ask(leaving.signal);
        if (leaving.signal.aborted) return;
        [this.value, this.fault, this.missing, failed] = [value, null, false, 0];
      } catch (error) {
        if (leaving.signal.aborted) return;
        this.missing = error instanceof Refused && error.status === 404;
        this.fault = this.missing ? null : (error as Error).message;
        failed++;
      }
      const wait = every ?? (this.fault === null ? null : 3000);
      if (wait !== null) timer = setTimeout(() => void again(), pause(wait, failed));
    };
    void again();
    return () => {
      leaving.abort();
      clearTimeout(timer);
    };
  }

  clear(): void {
    this.value = null;
    this.fault = null;
    this.missing = false;
  }
}

/** A little apart from other cards and pages, and longer after failures, a minute at most. */
export function pause(every: number, failed: number, random: () => number = Math.random): number {
  return Math.min(60_000, every * 2 ** Math.min(failed, 6) * (0.8 + 0.4 * random()));
}
