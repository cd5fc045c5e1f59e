// What `dashboard/operations.py` sends. Times are ms since 1970 where they are numbers.

import type { StreamState } from "../../wire/types";

export interface Commit {
  readonly at: number;
  readonly kind: "rows" | "merge";
  readonly rows: number;
  readonly files: number;
  readonly bytes: number;
}

export interface TableState {
  readonly snapshots: number;
  readonly files: {
    readonly count: number;
    readonly bytes: number;
    readonly small: number;
    readonly small_below: number;
    readonly rows: number;
  };
  readonly commits: readonly Commit[];
  /** [ms, commits, rows, files, bytes] of each of the last 60 minutes, oldest first. */
  readonly minutes: readonly (readonly [number, number, number, number, number])[];
  readonly merges: number;
}

export interface HeldSample {
  readonly name: string;
  readonly generation: number;
  readonly partition: number;
  readonly offset: number;
  readonly at: number;
  readonly message: string | null;
  readonly raw: string | null;
  readonly raw_bytes: number | null;
}

export interface HeldGroup {
  readonly reason: string;
  readonly field: string | null;
  readonly records: number;
  readonly newest_ms: number;
  readonly message: string | null;
  readonly samples: readonly HeldSample[];
}

export interface OperatedStream {
  readonly state: StreamState;
  readonly message: string | null;
  readonly rate: number | null;
  readonly lag_records: number | null;
  readonly lag_seconds: number | null;
  readonly freshness_seconds: number | null;
  readonly last_commit: string | null;
  readonly table: TableState | null;
  readonly quarantine: readonly HeldGroup[];
}

export interface Verdict {
  /** ISO 8601. */
  readonly at: string;
  readonly clean: boolean;
  readonly problems: readonly string[];
  readonly lines: readonly string[];
}

export interface ReplayResult {
  readonly read: number;
  readonly landed: number;
  readonly already: number;
  readonly remaining: Readonly<Record<string, number>>;
}

export interface Job {
  readonly id: string;
  readonly kind: "replay" | "audit";
  readonly state: "running" | "done" | "failed" | "stopped";
  readonly started_ms: number;
  readonly ended_ms: number | null;
  readonly progress: Partial<ReplayResult>;
  readonly result: ReplayResult | Verdict | null;
  readonly error: string | null;
}

export interface Operations {
  readonly at: number;
  readonly streams: Readonly<Record<string, OperatedStream>>;
  readonly quarantine_table: TableState | null;
  readonly broker: Readonly<Record<string, unknown>> | null;
  readonly pipeline: Readonly<Record<string, unknown>> | null;
  readonly audit: Verdict | null;
  readonly jobs: readonly Job[];
}
