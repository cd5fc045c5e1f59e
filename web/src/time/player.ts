// Receives a moment, a speed and a way to read frames; gives the frames as their time comes. One request at a time, the
// next frames are read ahead. Its time never runs far from what was read: a slow server makes it wait, not guess.

import type { Frame } from "../wire/frame";

export type Read = (at: number, signal: AbortSignal) => Promise<Frame>;

export interface Listener {
  /** A frame's time has come; `first` is the first one after a seek. */
  frame(frame: Frame, first: boolean): void;
  /** Reading fails, with the reason; null: it does again. */
  fault(why: string | null): void;
}

const FRAME_EVERY_MS = 250; // of this page's time, where a second of the past is shorter than that
const AHEAD = 4; // frames
const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 20_000;

/** ms of the past from one frame to the next: a report a second at 1×, four frames a second at 60×. */
export function stepOf(speed: number, calm: boolean): number {
  return Math.max(1000, speed * (calm ? 1000 : FRAME_EVERY_MS));
}

export class Player {
  /** No motion between frames: one a second is enough. */
  calm = false;
  /** Nothing after this moment is worth reading, ms since 1970. */
  end = Infinity;
  #speed = 0;
  #base = { virtual: 0, page: 0 };
  #queue: Frame[] = [];
  /** Time of the last frame that was read; null: the first one is still to come. */
  #read: number | null = null;
  #reading: AbortController | null = null;
  #takes = 0; // ms that the last reads took
  #failed = 0;
  #retryAt = 0;
  #first = true;
  #idle = true; // nothing is read before the first seek

  constructor(
    private readonly read: Read,
    private readonly listener: Listener,
    /** This page's clock, ms. */
    private readonly page: () => number = () => performance.now(),
  ) {}

  get speed(): number {
    return this.#speed;
  }

  /** True until the frame of the moment asked for is there. */
  get waiting(): boolean {
    return this.#first;
  }

  /** The moment that is shown, ms since 1970. */
  get now(): number {
    const run = this.#base.virtual + (this.page() - this.#base.page) * this.#speed;
    if (this.#speed === 0) return this.#base.virtual;
    const most = this.#read === null ? this.#base.virtual : Math.max(this.#base.virtual, this.#read + this.#step);
    if (run <= most) return run;
    this.#set(most); // what was not read yet is waited for, and not caught up afterwards
    return most;
  }

  get #step(): number {
    return Math.max(stepOf(this.#speed, this.calm), this.#takes * this.#speed * 1.1);
  }

  #set(virtual: number): void {
    this.#base = { virtual, page: this.page() };
  }

  /** Go to a moment. What was read for another one is dropped; what is shown stays until the new frame is there. */
  seek(at: number): void {
    this.stop();
    this.#set(at);
    this.#first = true;
    this.#idle = false;
    this.step();
  }

  play(speed: number): void {
    this.#set(this.now);
    this.#speed = speed;
    if (speed === 0) this.#queue = [];
    this.step();
  }

  /** Read nothing any more. */
  stop(): void {
    this.#idle = true;
    this.#reading?.abort();
    this.#reading = null;
    this.#queue = [];
    this.#read = null;
    this.#failed = 0;
    this.#retryAt = 0;
  }

  /** Call with every animation frame. */
  step(): void {
    const now = this.now;
    let due: Frame | undefined;
    while (this.#queue[0] && this.#queue[0].at <= now) due = this.#queue.shift();
    if (due) {
      this.listener.frame(due, this.#first);
      this.#first = false;
    }
    if (this.#idle || this.#reading || this.page() < this.#retryAt) return;
    if (this.#read === null) void this.#ask(now);
    else if (this.#speed > 0 && this.#read < Math.min(this.end, now + AHEAD * this.#step))
      void this.#ask(this.#read + this.#step);
  }

  async #ask(at: number): Promise<void> {
    const reading = new AbortController();
    this.#reading = reading;
    const begun = this.page();
    try {
      const frame = await this.read(Math.floor(at), reading.signal);
      if (this.#reading !== reading) return;
      const took = this.page() - begun;
      this.#takes = this.#read === null ? 0 : this.#takes * 0.7 + took * 0.3; // the first read of a minute is slow
      this.#read = frame.at;
      this.#queue.push(frame);
      this.#failed = 0;
      this.listener.fault(null);
    } catch (error) {
      if (this.#reading !== reading) return;
      this.#retryAt =
        this.page() + Math.min(LONGEST_RETRY_MS, RETRY_MS * 2 ** this.#failed++) * (0.75 + Math.random() / 2);
      this.listener.fault(error instanceof Error ? error.message : String(error));
    }
    this.#reading = null;
    this.step();
  }
}
