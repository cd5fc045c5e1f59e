import { beforeEach, describe, expect, it } from "vitest";
import { Fleet } from "../state/fleet";
import { asked, kept } from "../time/keys";
import { Player, stepOf } from "../time/player";
import { ends, held, MINUTE_MS, parseLocal, writeLocal } from "../time/scale";
import { decode, type Frame } from "../wire/frame";
import { frame } from "./made";

const T = 1_790_000_000_000;
const settle = () => new Promise((done) => setTimeout(done));

describe("a player of the past", () => {
  let page = 0;
  let asking: { at: number; signal: AbortSignal; give(): void; fail(): void }[];
  let shown: { at: number; first: boolean }[];
  let faults: (string | null)[];
  let player: Player;

  beforeEach(() => {
    page = 0;
    [asking, shown, faults] = [[], [], []];
    player = new Player(
      (at, signal) =>
        new Promise((resolve, reject) => {
          asking.push({
            at,
            signal,
            give: () => resolve({ ...decode(frame([])), at } as Frame),
            fail: () => reject(new Error("the lake is away")),
          });
        }),
      { frame: (f, first) => shown.push({ at: f.at, first }), fault: (why) => faults.push(why) },
      () => page,
    );
  });
  const give = async () => {
    asking.at(-1)?.give();
    await settle();
  };

  it("shows the moment asked for and then reads nothing: a page that stands asks the lake for nothing", async () => {
    player.seek(T);
    expect(player.waiting).toBe(true);
    await give();
    page += 10_000;
    player.step();
    expect(shown).toEqual([{ at: T, first: true }]);
    expect([player.now, player.waiting, asking.length]).toEqual([T, false, 1]);
  });

  it("has one request under way, reads ahead a few frames, and shows each when its time has come", async () => {
    player.seek(T);
    player.play(1);
    expect(asking).toHaveLength(1);
    for (let i = 0; i < 20; i++) await give();
    expect(asking.map((a) => a.at - T)).toEqual([0, 1000, 2000, 3000, 4000]);
    page += 2100;
    player.step();
    expect(shown.map((f) => f.at - T)).toEqual([0, 2000]);
    expect(player.now).toBe(T + 2100);
  });

  it("waits for a slow server and does not run on without rows", async () => {
    player.seek(T);
    player.play(10);
    await give();
    page += 60_000;
    expect(player.now - T).toBe(stepOf(10, false));
    page += 60_000;
    expect(player.now - T).toBe(stepOf(10, false));
  });

  it("drops what was asked for another moment, so that the two are never mixed", async () => {
    player.seek(T);
    const old = asking[0];
    player.seek(T + 60_000);
    expect(old?.signal.aborted).toBe(true);
    old?.give();
    await settle();
    expect(shown).toEqual([]);
    await give();
    expect(shown).toEqual([{ at: T + 60_000, first: true }]);
  });

  it("tells a fault, tries again after a while, and tells when it is over", async () => {
    player.seek(T);
    asking[0]?.fail();
    await settle();
    player.step();
    expect([faults, asking.length]).toEqual([["the lake is away"], 1]);
    page += 1300;
    player.step();
    await give();
    expect(faults.at(-1)).toBe(null);
    expect(shown).toHaveLength(1);
  });

  it("reads nothing after it was stopped", () => {
    player.seek(T);
    player.play(0);
    player.stop();
    player.step();
    expect(asking).toHaveLength(1);
    expect(asking[0]?.signal.aborted).toBe(true);
  });

  it("without motion one frame a second is enough", () => {
    expect([stepOf(1, false), stepOf(60, false), stepOf(60, true)]).toEqual([1000, 15_000, 60_000]);
  });
});

it("a fleet of the past ages with the moment shown, and a vehicle not named is gone at once", () => {
  let moment = 0;
  const fleet = new Fleet({ epoch: T, now: () => moment });
  fleet.keptAfterWhole = 0;
  fleet.apply(
    decode(
      frame(
        [
          [0, 52, -1, 5000],
          [1, 52.1, -1, 0],
        ],
        [
          [0, "a", "Car"],
          [1, "b", "Car"],
        ],
        true,
      ),
    ),
  );
  expect(fleet.find("a")?.seen).toBe(T - 5000);
  moment = 30;
  expect(fleet.find("b")?.seen).toBe(T);
  fleet.apply(decode(frame([[1, 52.1, -1, 0]], [[1, "b", "Car"]], true)));
  expect([fleet.find("a"), fleet.find("b")?.seen]).toEqual([null, T + 30_000]);
});

describe("the bar", () => {
  it("knows what the lake holds; a device whose clock runs ahead does not make the future", () => {
    const streams = {
      gps: { first_ms: T, last_ms: T + 5000, rows: 1 },
      weather: { first_ms: T - 100, last_ms: T + 9e9, rows: 1 },
      traffic: { first_ms: null, last_ms: null, rows: 0 },
    };
    expect(held(streams, T + 7000)).toEqual({ first: T - 100, last: T + 7000 });
    expect(held({ traffic: { first_ms: null, last_ms: null, rows: 0 } }, T)).toBe(null);
  });
  it("ends now, or lies around the moment and stands still while time plays", () => {
    const hour = 60 * MINUTE_MS;
    expect(ends(hour, null, null, T)).toEqual({ from: T - hour, to: T });
    expect(ends(hour, null, T - 1000, T)).toEqual({ from: T - hour, to: T });
    const far = T - 100 * hour;
    const bar = ends(hour, null, far, T);
    expect(bar.to - bar.from).toBe(hour);
    expect(far).toBeGreaterThanOrEqual(bar.from);
    expect(far).toBeLessThanOrEqual(bar.to);
    expect(ends(hour, null, far + 1000, T)).toEqual(bar);
    expect(ends(0, { first: T - 5 * hour }, null, T)).toEqual({ from: T - 5 * hour, to: T });
  });
  it("writes and reads a moment in UTC and in London, also in the hours that clocks change", () => {
    const summer = Date.UTC(2026, 6, 1, 12, 30, 5);
    expect(writeLocal(summer, "london")).toBe("2026-07-01T13:30:05");
    expect(parseLocal("2026-07-01T13:30:05", "london")).toBe(summer);
    expect(parseLocal(writeLocal(summer, "utc"), "utc")).toBe(summer);
    expect(parseLocal("2026-03-29T02:30", "london")).toBe(Date.UTC(2026, 2, 29, 1, 30));
    expect(parseLocal("2026-03-29T00:30", "london")).toBe(Date.UTC(2026, 2, 29, 0, 30));
    expect(parseLocal("2026-10-25T01:30", "london")).toBe(Date.UTC(2026, 9, 25, 0, 30));
    expect(parseLocal("2026-10-25T02:30", "london")).toBe(Date.UTC(2026, 9, 25, 2, 30));
    expect(parseLocal("", "utc")).toBe(null);
  });
});

describe("keys", () => {
  const press = (key: string, more = {}) => ({
    key,
    shiftKey: false,
    ctrlKey: false,
    altKey: false,
    metaKey: false,
    ...more,
  });
  it("step a minute, ten with Shift; combinations of the browser stay its own", () => {
    expect(asked(press("ArrowLeft"))).toEqual({ step: -60_000 });
    expect(asked(press("ArrowRight", { shiftKey: true }))).toEqual({ step: 600_000 });
    expect(asked(press("ArrowLeft", { altKey: true }))).toBe(null);
    expect(asked(press("l", { ctrlKey: true }))).toBe(null);
    expect([asked(press(" ")), asked(press("l")), asked(press("?", { shiftKey: true }))]).toEqual([
      "play",
      "live",
      "help",
    ]);
  });
  it("belong to the part that has the focus where that has a use for them", () => {
    const inside = (selector: string) => ({
      closest: (all: string) => (all.split(", ").includes(selector) ? {} : null),
    });
    expect(kept(" ", inside("button"))).toBe(true);
    expect(kept("l", inside("button"))).toBe(false);
    expect(kept("ArrowLeft", inside("[role=tab]"))).toBe(true);
    expect(kept("ArrowLeft", inside(".maplibregl-canvas"))).toBe(true);
    expect(kept("?", inside("textarea"))).toBe(true);
    expect(kept("ArrowLeft", null)).toBe(false);
  });
});
