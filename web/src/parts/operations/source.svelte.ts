// Receives nothing but the page's address; gives the operations view the lake's state again and again, and runs its jobs.

import { operations as text } from "../../text/operations";
import { Refused, read } from "../../wire/read";
import type { Job, Operations } from "./types";

const EVERY_MS = 5_000;
const JOB_EVERY_MS = 500;

export class Source {
  body = $state.raw<Operations | null>(null);
  /** When `body` was read, by this page's clock. */
  readAt = $state<number | null>(null);
  fault = $state<string | null>(null);
  /** The job that runs, or the last one that this page saw end. */
  job = $state.raw<Job | null>(null);
  jobFault = $state<string | null>(null);
  #gone = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watched: string | null = null;

  start(): void {
    void this.#again();
  }

  stop(): void {
    this.#gone.abort();
    clearTimeout(this.#timer);
  }

  async refresh(): Promise<void> {
    try {
      this.body = await read<Operations>("/api/operations", this.#gone.signal);
      this.readAt = Date.now();
      this.fault = null;
      const running = this.body.jobs.find((job) => job.state === "running");
      if (running) void this.#watch(running);
    } catch (error) {
      if (!this.#gone.signal.aborted) this.fault = (error as Error).message;
    }
  }

  async #again(): Promise<void> {
    if (!document.hidden || this.body === null) await this.refresh();
    if (!this.#gone.signal.aborted) this.#timer = setTimeout(() => void this.#again(), EVERY_MS);
  }

  async begin(path: string, body: unknown): Promise<void> {
    this.jobFault = null;
    try {
      await this.#watch(await read<Job>(path, this.#gone.signal, { body }));
    } catch (error) {
      this.jobFault = (error as Error).message;
    }
  }

  async end(): Promise<void> {
    if (this.job?.state === "running") {
      await read<Job>(`/api/jobs/${this.job.id}/stop`, this.#gone.signal, { body: {} }).catch(() => undefined);
    }
  }

  /** Until it has ended. A server that is away is asked again; one that forgot the job was started anew. */
  async #watch(job: Job): Promise<void> {
    if (this.#watched === job.id) return;
    this.#watched = job.id;
    this.job = job;
    while (this.job.state === "running" && !this.#gone.signal.aborted) {
      await new Promise((wake) => setTimeout(wake, JOB_EVERY_MS));
      try {
        this.job = await read<Job>(`/api/jobs/${job.id}`, this.#gone.signal);
      } catch (error) {
        if (!(error instanceof Refused && error.status === 404)) continue;
        this.job = { ...this.job, state: "failed", error: text.jobLost };
      }
    }
    this.#watched = null;
    if (!this.#gone.signal.aborted) await this.refresh();
  }
}
