// Receives a job as the server tells it; gives the sentences that a person reads of it. Pure.

import { count } from "../../format";
import { text as all } from "../../text";
import { operations as text } from "../../text/operations";
import type { Job, ReplayResult } from "./types";

const units = ["B", "kB", "MB", "GB", "TB"];

/** Bytes in the unit that fits, by thousands. */
export function size(bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return all.unknown;
  const power = Math.min(units.length - 1, bytes > 0 ? Math.floor(Math.log10(bytes) / 3) : 0);
  const value = bytes / 1000 ** power;
  return `${power === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}

export const reasonName = (reason: string): string => all.quarantine.reasonNames[reason] ?? reason;

/** How a replay goes or went; empty for what is no replay. */
export function replayWords(job: Job | null): string[] {
  if (job?.kind !== "replay") return [];
  if (job.state === "running") return [text.replaying(count(job.progress.read ?? 0), count(job.progress.landed ?? 0))];
  if (job.state === "failed") return [text.jobFailed(text.replay, job.error ?? text.unknown)];
  if (job.state === "stopped") return [text.replayStopped];
  const result = job.result as ReplayResult;
  if (result.read === 0) return [text.replayNothing];
  return [
    text.replayDone(count(result.read), count(result.landed)),
    ...(result.already ? [text.replayAlready(count(result.already))] : []),
    ...Object.entries(result.remaining).map(([reason, n]) => text.replayStay(count(n), reasonName(reason))),
  ];
}
