import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { fromWall, toWall } from "../parts/filter/wall";
import { NOTHING } from "../state/address";
import { Asked, Gate, pause } from "../state/history.svelte";
import { questionOf, without } from "../tiles/question";
import { completeness, type Known, type TileAnswer, tileReason, tileState } from "../tiles/state";
import type { StreamStatus } from "../wire/types";

const stream = (state: StreamStatus["state"], more: Partial<StreamStatus> = {}) =>
  ({ state, message: null, quarantined: 2, lag_records: 3, ...more }) as StreamStatus;
const BODY: TileAnswer = {
  columns: [{ name: "n", type: "number", unit: null }],
  rows: [[5]],
  cut: false,
  as_of_ms: 900,
  committed_ms: 950,
  rows_seen: 5,
  late: 1,
  seconds: 0.1,
  streams: ["gps"],
  applies: true,
};
const KNOWN: Known = {
  body: BODY,
  outdated: false,
  fault: null,
  readAt: 1000,
  connected: true,
  live: true,
  now: 2000,
  streams: [stream("live")],
};

describe("what a tile says of itself", () => {
  it("looks different for each way that its numbers can be trusted or not", () => {
    const states: [Partial<Known>, string][] = [
      [{}, "live"],
      [{ streams: [stream("quiet"), stream("empty")] }, "quiet"],
      [{ live: false }, "past"],
      [{ body: null }, "loading"],
      [{ outdated: true }, "updating"],
      [{ streams: [stream("live"), stream("delayed")] }, "delayed"],
      [{ now: 60_000 }, "delayed"],
      [{ connected: false }, "disconnected"],
      [{ connected: false, live: false }, "past"],
      [{ fault: { message: "x", away: true } }, "disconnected"],
      [{ fault: { message: "x", away: false } }, "failed"],
      [{ streams: [stream("failed")] }, "failed"],
      [{ body: { ...BODY, rows_seen: 0, rows: [] } }, "empty"],
      [{ body: { ...BODY, applies: false } }, "absent"],
    ];
    for (const [known, state] of states) expect(tileState({ ...KNOWN, ...known }), state).toBe(state);
  });

  it("gives the server's sentence, or the stream's", () => {
    const slow = { ...KNOWN, streams: [stream("live"), stream("delayed", { message: "records wait 20 s" })] };
    expect(tileReason(slow, "delayed")).toBe("records wait 20 s");
    expect(tileReason({ ...KNOWN, fault: { message: "no lake yet", away: false } }, "failed")).toBe("no lake yet");
    expect(tileReason(KNOWN, "live")).toBe(null);
  });

  it("does not know how complete it is where one stream does not know", () => {
    expect(completeness(BODY, [stream("live"), stream("live")], 2)).toEqual({ late: 1, quarantined: 4, lag: 6 });
    const dark = stream("unknown", { lag_records: null, quarantined: 0 });
    expect(completeness(null, [stream("live"), dark], 2)).toEqual({ late: null, quarantined: 2, lag: null });
    expect(completeness(BODY, [], 2)).toEqual({ late: 1, quarantined: null, lag: null });
  });
});

describe("what a tile asks", () => {
  const filter = { ...NOTHING, where: { make: ["BMW"], route: ["M1"] }, stream: "gps" };
  const pie = { id: "by_make", kind: "pie", by: "make" } as const;

  it("leaves its own choice out of bars and slices, so that another can be chosen, but not of rows", () => {
    expect(without(pie, filter).where).toEqual({ route: ["M1"] });
    expect(without({ ...pie, kind: "table" }, filter)).toBe(filter);
    expect(without({ kind: "bars", by: "stream" }, filter).stream).toBe(null);
  });

  it("is one question while only time moves on, and another when anything else changes", () => {
    const at = (ms: number) => questionOf(pie, { ...filter, at: ms }, () => 0);
    expect(at(5_000_000).key).toBe(at(6_000_000).key);
    expect(at(5_000_000).url()).not.toBe(at(6_000_000).url());
    const live = questionOf(pie, filter, () => 9_000_000);
    expect(live.again).toBe(true);
    expect(live.url()).toBe("/api/tiles/by_make?from=8100000&stream=gps&where=route%3AM1");
    expect(questionOf(pie, { ...filter, where: {} }, () => 0).key).not.toBe(live.key);
    expect(questionOf(pie, { ...filter, lastMs: 300_000 }, () => 0).key).not.toBe(live.key);
    const past = questionOf(pie, { ...filter, from: 1000, to: 2000 }, () => 3000);
    expect([past.again, questionOf(pie, { ...filter, from: 1000, to: 9000 }, () => 3000).again]).toEqual([false, true]);
  });
});

describe("asking", () => {
  let answers: (() => Promise<Response>)[];
  let urls: string[];
  const json = (body: unknown, status = 200) => Promise.resolve(new Response(JSON.stringify(body), { status }));
  const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms);
  const question = (key: string, again = true) => ({ key, url: () => `/${key}`, again });

  beforeEach(() => {
    vi.useFakeTimers();
    vi.spyOn(Math, "random").mockReturnValue(0);
    answers = [];
    urls = [];
    vi.stubGlobal("fetch", (url: string, init: RequestInit) => {
      urls.push(url);
      const answer = answers.shift();
      return new Promise((take, refuse) => {
        init.signal?.addEventListener("abort", () => refuse(init.signal?.reason));
        answer?.().then(take, refuse);
      });
    });
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
    vi.useRealTimers();
  });

  it("asks again every few seconds and blanks nothing when the server is away", async () => {
    const asked = new Asked<{ n: number }>();
    answers = [() => json({ n: 1 }), () => Promise.reject(new TypeError("gone")), () => json({ n: 3 })];
    asked.follow(question("a"));
    await settle();
    expect(asked.body).toEqual({ n: 1 });
    await settle(2100);
    expect([asked.body, asked.fault?.away]).toEqual([{ n: 1 }, true]);
    asked.nudge();
    await settle(400);
    expect([asked.body, asked.fault]).toEqual([{ n: 3 }, null]);
    asked.stop();
    await settle(60_000);
    expect(urls.length).toBe(3);
  });

  it("never shows rows of one choice as those of another", async () => {
    const asked = new Asked<{ n: number }>();
    answers = [() => json({ n: 1 }), () => json({ detail: "a limit was met" }, 504)];
    asked.follow(question("a", false));
    await settle();
    asked.follow(question("b", false));
    expect([asked.body, asked.outdated]).toEqual([{ n: 1 }, true]);
    await settle();
    expect([asked.body, asked.fault]).toEqual([null, { message: "a limit was met", away: false }]);
    asked.stop();
  });

  it("aborts the old question, has one on its way, and takes a nudge that came meanwhile", async () => {
    const asked = new Asked<{ n: number }>();
    let open: (r: Response) => void = () => undefined;
    answers = [() => new Promise(() => undefined), () => new Promise((take) => (open = take)), () => json({ n: 3 })];
    asked.follow(question("old"));
    await settle();
    asked.follow(question("new", false));
    await settle();
    asked.nudge();
    asked.nudge();
    await settle(2000);
    expect(urls).toEqual(["/old", "/new"]);
    open(new Response('{"n": 2}'));
    await settle();
    expect(asked.body).toEqual({ n: 2 });
    await settle(400);
    expect([urls.length, asked.body]).toEqual([3, { n: 3 }]);
    await settle(60_000);
    expect(urls.length).toBe(3);
    asked.stop();
  });

  it("lets three through over the page; whoever leaves the queue holds nobody up", async () => {
    const gate = new Gate(1);
    const never = new AbortController().signal;
    const leaving = new AbortController();
    const first = await gate.enter(never);
    const second = gate.enter(leaving.signal);
    const third = gate.enter(never);
    leaving.abort();
    await expect(second).rejects.toThrow();
    first();
    first();
    const out = await third;
    const fourth = gate.enter(never);
    out();
    await fourth;
  });

  it("waits longer after each fault, and as long as a heavy answer deserves", () => {
    expect(pause(10, 0, () => 0)).toBe(2000);
    expect(pause(10, 0, () => 1)).toBe(5000);
    expect(pause(3000, 0)).toBe(12_000);
    expect([pause(10, 1, () => 1), pause(10, 4, () => 1), pause(10, 99, () => 1)]).toEqual([2000, 16_000, 30_000]);
  });
});

describe("times as a form writes them", () => {
  it("are of the zone that the page shows, in winter, in summer and over the change", () => {
    for (const wall of [
      "2026-11-24T18:05",
      "2026-07-01T00:30",
      "2026-03-29T00:59",
      "2026-03-29T02:00",
      "2026-10-25T02:30",
    ])
      for (const zone of ["utc", "london"] as const) expect(toWall(fromWall(wall, zone) as number, zone)).toBe(wall);
    expect(fromWall("2026-07-01T12:00", "london")).toBe(Date.parse("2026-07-01T11:00Z"));
    expect(fromWall("soon", "utc")).toBe(null);
  });
});
