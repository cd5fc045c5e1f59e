import { describe, expect, it } from "vitest";
import type { Column } from "../charts/shape";
import { KEPT, type Run, readRuns, withRun } from "../parts/explore/past";
import { bins, possible, suggested } from "../parts/explore/picture";

const make: Column = { name: "make", type: "string" };
const n: Column = { name: "n", type: "int64" };
const at: Column = { name: "minute", type: "timestamp[us, tz=UTC]" };

describe("how an answer is drawn", () => {
  it("suggests what most people would draw, and a table where nothing fits", () => {
    expect(suggested([make, n], 12)).toBe("bars");
    expect(suggested([at, n], 60)).toBe("line");
    expect(suggested([n], 5000)).toBe("histogram");
    expect(suggested([make, n], 900)).toBe("table");
    expect(suggested([make], 10)).toBe("table");
    expect(suggested([make, n], 1)).toBe("table");
  });

  it("offers no chart without a number", () => {
    expect(possible([make], 10)).toEqual(["table"]);
    expect(possible([n], 10)).toEqual(["table", "histogram"]);
  });

  it("counts every number once, in round steps, also below zero and where all are equal", () => {
    const rows = [[-3], [0], [1], [1.5], [99], [100], [null], ["x"]];
    const found = bins(rows, 0);
    expect(found.reduce((sum, [, count]) => sum + count, 0)).toBe(6);
    expect(found[0]?.[0]).toBe("-5");
    expect(found.length).toBeLessThanOrEqual(26);
    expect(bins([[7], [7]], 0)).toEqual([["7", 2]]);
    expect(bins([[null]], 0)).toEqual([]);
  });
});

describe("the last queries", () => {
  const run = (sql: string, at: number): Run => ({ sql, at, rows: 1, seconds: 0.1 });

  it("keeps each text once, newest first, and not without end", () => {
    let runs: Run[] = [];
    for (let i = 0; i < 30; i++) runs = withRun(runs, run(`select ${i}`, i));
    runs = withRun(runs, run(" select 29 ", 99));
    expect(runs).toHaveLength(KEPT);
    expect(runs[0]?.at).toBe(99);
    expect(runs[1]?.sql).toBe("select 28");
  });

  it("takes no harm from what else stands in the storage", () => {
    for (const kept of [null, "", "{", "{}", '[1,null,{"sql":1}]']) {
      expect(readRuns({ getItem: () => kept })).toEqual([]);
    }
  });
});
