// Receives nothing but the page's own address; gives frames and texts from `/ws`, for as long as the page is open.

import { decode, type Frame } from "./frame";
import type { Message } from "./types";

export type LinkState = "connecting" | "open" | "waiting";

export interface Listener {
  frame(frame: Frame): void;
  message(message: Message): void;
  /** `retryAt`: when the next attempt begins (ms since 1970), while waiting. */
  state(state: LinkState, retryAt: number | null): void;
}

const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 20_000;
const SILENCE_MS = 8_000; // the server speaks every second
const STEADY_MS = 5_000;

/** How long to wait before attempt `attempt` (from 0): doubling, bounded, spread by ±50 %. */
export function backoff(attempt: number, random: () => number = Math.random): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(attempt, 16)) * (0.5 + random());
}

/** Keeps one WebSocket open and opens it again when it ends or falls silent. */
export class Link {
  #socket: WebSocket | null = null;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #openedAt = 0;

  constructor(
    private readonly url: string,
    private readonly listener: Listener,
  ) {}

  open(): void {
    clearTimeout(this.#timer);
    this.#drop();
    this.listener.state("connecting", null);
    const socket = new WebSocket(this.url);
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    this.#heard();
    socket.onopen = () => {
      this.#openedAt = Date.now();
      this.listener.state("open", null);
    };
    socket.onmessage = (event: MessageEvent<ArrayBuffer | string>) => {
      this.#heard();
      if (this.#openedAt && Date.now() - this.#openedAt > STEADY_MS) this.#attempt = 0;
      if (typeof event.data === "string") {
        this.listener.message(JSON.parse(event.data) as Message);
      } else {
        const frame = decode(event.data);
        this.listener.frame(frame);
        socket.send(`{"ack":${frame.seq}}`);
      }
    };
    socket.onclose = () => this.#retry();
  }

  /** Without this a dead peer behind a proxy looks like a quiet one. */
  #heard(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => this.#retry(), SILENCE_MS);
  }

  #retry(): void {
    this.#drop();
    const wait = backoff(this.#attempt++);
    this.listener.state("waiting", Date.now() + wait);
    this.#timer = setTimeout(() => this.open(), wait);
  }

  #drop(): void {
    clearTimeout(this.#watch);
    this.#openedAt = 0;
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }
}
