// Receives a question about the past; asks the server for its answer, again and again while it may change, and gives the
// last answer with its age. What is shown stays while a newer answer is on its way or the server is away.
//
// A question at a time: a new one aborts the old. Over all of the page few are on their way at once, none while the page
// is hidden, and after a fault the next attempt waits longer, up to half a minute.

import { type Refused, read } from "../wire/read";

export interface Question {
  /** What is asked; an answer to another key is shown as an old one, and dropped if the new one fails. */
  readonly key: string;
  /** The address, made anew for each attempt. */
  readonly url: () => string;
  /** Ask again while nobody changes anything: the answer grows. */
  readonly again: boolean;
}

export interface Fault {
  readonly message: string;
  /** The server did not answer at all. */
  readonly away: boolean;
}

const EVERY_MS: readonly [number, number] = [2000, 5000];
const NUDGED_MS = 300; // while time plays or is dragged
const REST = 4; // times as long as the answer took, so that a heavy tile leaves the server to others
const LONGEST_PAUSE_MS = 30_000;
const LIMIT_MS = 30_000;
const AT_ONCE = 3; // the server runs four; the map and the cards want one too

/** Lets few through at once; the others wait in order. */
export class Gate {
  #free: number;
  #waiting: (() => void)[] = [];

  constructor(most: number) {
    this.#free = most;
  }

  /** Resolves to what gives the place back. Rejects when the signal aborts first. */
  async enter(signal: AbortSignal): Promise<() => void> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else {
      await new Promise<void>((go, stop) => {
        const mine = () => {
          signal.removeEventListener("abort", leave);
          go();
        };
        const leave = () => {
          this.#waiting = this.#waiting.filter((w) => w !== mine);
          stop(signal.reason);
        };
        this.#waiting.push(mine);
        signal.addEventListener("abort", leave, { once: true });
      });
    }
    let given = false;
    return () => {
      if (given) return;
      given = true;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free++;
    };
  }
}

const gate = new Gate(AT_ONCE);

/** Pause after an attempt, ms: `took` ms long, after `faults` faults in a row. */
export function pause(took: number, faults: number, random: () => number = Math.random): number {
  const [least, most] = EVERY_MS;
  if (faults > 0) return Math.min(LONGEST_PAUSE_MS, 1000 * 2 ** Math.min(faults, 10)) * (0.5 + 0.5 * random());
  return Math.min(LONGEST_PAUSE_MS, Math.max(least + (most - least) * random(), took * REST));
}

export class Asked<T> {
  body = $state.raw<T | null>(null);
  /** When the body was read, by this page's clock. */
  readAt = $state<number | null>(null);
  fault = $state.raw<Fault | null>(null);
  /** The body answers an earlier question. */
  outdated = $state(false);
  #key: string | null = null;
  #leaving: AbortController | null = null;
  #wake: (() => void) | null = null;
  #nudged = false;

  /** `take` reads an answer; JSON when left out. */
  constructor(private readonly take?: (answer: Response) => Promise<T>) {}

  /** Ask this from now on. */
  follow(question: Question): void {
    this.#leaving?.abort();
    const mine = new AbortController();
    this.#leaving = mine;
    if (this.#key !== question.key) {
      this.#key = question.key;
      this.outdated = this.body !== null;
      this.fault = null;
    }
    this.#run(question, mine.signal).catch((error: unknown) => {
      if (!mine.signal.aborted) console.error(error);
    });
  }

  /** Ask anew soon: time has moved on, or the server is back. */
  nudge(): void {
    this.#nudged = true;
    this.#wake?.();
  }

  stop(): void {
    this.#leaving?.abort();
    this.#leaving = null;
  }

  async #run(question: Question, signal: AbortSignal): Promise<void> {
    let faults = 0;
    while (!signal.aborted) {
      await shown(signal);
      this.#nudged = false;
      const began = Date.now();
      const leave = await gate.enter(signal);
      try {
        const body = await read(question.url(), signal, { limitMs: LIMIT_MS, take: this.take });
        signal.throwIfAborted();
        this.body = body;
        this.readAt = Date.now();
        this.outdated = false;
        this.fault = null;
        faults = 0;
      } catch (error) {
        if (signal.aborted) return;
        faults++;
        const { message, away } = error as Refused;
        this.fault = { message, away };
        if (this.outdated) {
          this.body = null;
          this.outdated = false;
        }
      } finally {
        leave();
      }
      const took = Date.now() - began;
      await this.#pause(faults || question.again ? pause(took, faults) : null, signal);
    }
  }

  /** Until it is over, or until somebody nudges; null: until then only. */
  #pause(ms: number | null, signal: AbortSignal): Promise<void> {
    return new Promise((go) => {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = () => {
        clearTimeout(timer);
        this.#wake = null;
        signal.removeEventListener("abort", end);
        go();
      };
      const soon = () => {
        clearTimeout(timer);
        timer = setTimeout(end, NUDGED_MS);
        this.#wake = null;
      };
      signal.addEventListener("abort", end, { once: true });
      if (ms !== null) timer = setTimeout(end, ms);
      this.#wake = soon;
      if (this.#nudged) soon();
    });
  }
}

/** Resolves when the page is not hidden. */
function shown(signal: AbortSignal): Promise<void> {
  if (typeof document === "undefined" || !document.hidden) return Promise.resolve();
  return new Promise((go) => {
    const look = () => {
      if (document.hidden && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      go();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look, { once: true });
  });
}
