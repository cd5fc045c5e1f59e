import { describe, expect, it } from "vitest";
import type { Job } from "../parts/operations/types";
import { replayWords, size } from "../parts/operations/words";

const job: Job = {
  id: "a",
  kind: "replay",
  state: "running",
  started_ms: 1,
  ended_ms: null,
  progress: { read: 1200, landed: 1000 },
  result: null,
  error: null,
};

describe("what a job says", () => {
  it("tells how far a replay is, and at its end what stays and why", () => {
    expect(replayWords(job)).toEqual(["Replaying: 1,200 looked at, 1,000 landed"]);
    const result = { read: 5, landed: 3, already: 1, remaining: { not_json: 1 } };
    expect(replayWords({ ...job, state: "done", result })).toEqual([
      "Replay done: 5 looked at, 3 landed.",
      "1 had been landed before and are marked now.",
      "1 stay: Not JSON",
    ]);
  });

  it("does not call a failure or a stop a success", () => {
    expect(replayWords({ ...job, state: "failed", error: "the disk is full" })[0]).toContain("the disk is full");
    expect(replayWords({ ...job, state: "stopped" })[0]).toContain("stopped");
    expect(replayWords({ ...job, kind: "audit" })).toEqual([]);
  });
});

describe("size", () => {
  it("names bytes in the unit that fits, and does not write zero for what is not known", () => {
    expect([0, 999, 1000, 25_165_824, 3_200_000_000].map(size)).toEqual([
      "0 B",
      "999 B",
      "1.0 kB",
      "25.2 MB",
      "3.2 GB",
    ]);
    expect(size(null)).toBe("–");
  });
});
