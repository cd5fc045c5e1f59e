import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Filter, NOTHING, readAddress, restQuery, toggled, writeAddress, written } from "../state/address";
import { Filters } from "../state/filter.svelte";
import { asksLake, counted, matcher, placesShown, speaks } from "../state/matching.svelte";
import type { Places } from "../wire/types";

const ALL: Filter = {
  view: "operations",
  from: 1_700_000_000_000,
  to: 1_700_000_600_000,
  lastMs: NOTHING.lastMs,
  area: [-1.9, 51.4, 0.2, 52.6],
  stream: "gps",
  where: { make: ["BMW", "A, B: & c=d?"], vehicle_id: ["ü/1"] },
  cell: "87195da49ffffff",
  at: 1_700_000_300_000,
  speed: 10,
  map: { latitude: 51.5, longitude: -0.12, zoom: 9.25 },
  layer: "speed",
  pick: { kind: "incident", id: "inc:7, b" },
};

/** A browser's address and history, as a browser keeps them. */
function browser(search = "") {
  const entries = [search];
  let at = 0;
  const told: Record<string, (() => void)[]> = {};
  const address = (url: unknown) => (String(url).includes("?") ? `?${String(url).split("?")[1]}` : "");
  return {
    location: {
      get search() {
        return entries[at] as string;
      },
      pathname: "/",
      hash: "",
    },
    history: {
      state: null,
      replaceState: (_: unknown, __: string, url?: unknown) => {
        entries[at] = address(url);
      },
      pushState: (_: unknown, __: string, url?: unknown) => {
        entries.splice(++at, Number.POSITIVE_INFINITY, address(url));
      },
    },
    addEventListener: (name: string, listener: () => void) => {
      told[name] = [...(told[name] ?? []), listener];
    },
    travel: (steps: number) => {
      at += steps;
      for (const listener of told.popstate ?? []) listener();
    },
    entries,
  };
}

describe("the address", () => {
  it("reopens exactly what a link was made of, whatever the values hold", () => {
    expect(readAddress(writeAddress("", ALL))).toEqual(ALL);
    expect(readAddress("")).toEqual(NOTHING);
    expect(writeAddress("", NOTHING)).toBe("");
    for (const lastMs of [1000, 300_000, 5_400_000, 604_800_000])
      expect(readAddress(writeAddress("", { ...NOTHING, lastMs })).lastMs).toBe(lastMs);
    expect(written(5_400_000)).toBe("90m");
  });

  it("leaves the parameters of others alone and its commas readable", () => {
    expect(writeAddress("sql=select+1&area=1,2,3,4", { ...NOTHING, area: [1, 2, 3, 4] })).toBe(
      "area=1,2,3,4&sql=select+1",
    );
  });

  it("takes nothing that it cannot mean", () => {
    const wrong =
      "view=x&from=5&to=4&last=-3h&area=3,2,1,0&stream=A;B&where=nocolumn&where=__proto__:x&where=make:&where=a-b:c" +
      "&cell=zz&at=soon&speed=900&map=1,2&layer=heat&pick=planet:9";
    expect(readAddress(wrong)).toEqual(NOTHING);
  });
});

describe("what the server is asked", () => {
  it("is the last minutes live, a range, or what ends at the moment shown", () => {
    expect(restQuery(NOTHING, 10_000_123).toString()).toBe("from=9100000");
    const range = { ...NOTHING, from: 1_000_000, to: 2_000_000 };
    expect(restQuery(range, 0).toString()).toBe("from=1000000&to=2000000");
    expect(restQuery({ ...range, at: 1_500_000 }, 0).toString()).toBe("from=1000000&to=1500000");
    expect(restQuery({ ...range, at: 900_000 }, 0).toString()).toBe("from=0&to=900000");
    expect(restQuery({ ...NOTHING, at: 2_000_000 }, 0).toString()).toBe("from=1100000&to=2000000");
    expect(restQuery(ALL, 0).getAll("where")).toEqual(["make:BMW", "make:A, B: & c=d?", "vehicle_id:ü/1"]);
  });

  it("toggles a value and forgets a column without one", () => {
    const once = toggled({}, "make", "BMW");
    expect(toggled(once, "make", "Audi")).toEqual({ make: ["BMW", "Audi"] });
    expect(toggled(once, "make", "BMW")).toEqual({});
  });
});

describe("one filter for all", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("writes the address once for many changes, and at once before the page goes elsewhere", () => {
    const seen = browser("?sql=select+1");
    const filter = new Filters(seen);
    filter.toggle("make", "BMW");
    for (let i = 0; i < 50; i++) filter.set({ map: { latitude: i, longitude: 0, zoom: 5 } });
    expect(seen.entries).toEqual(["?sql=select+1"]);
    vi.advanceTimersByTime(300);
    expect(seen.entries).toEqual(["?where=make:BMW&map=49,0,5&sql=select+1"]);
    filter.toggle("make", "BMW");
    filter.go("explore");
    expect(seen.entries).toEqual(["?map=49,0,5&sql=select+1", "?view=explore&map=49,0,5&sql=select+1"]);
  });

  it("goes back and forward between views with everything that was chosen", () => {
    const seen = browser("?stream=gps");
    const filter = new Filters(seen);
    filter.go("operations");
    filter.set({ stream: null });
    filter.flush();
    seen.travel(-1);
    expect([filter.current.view, filter.current.stream]).toEqual(["city", "gps"]);
    seen.travel(1);
    expect([filter.current.view, filter.current.stream]).toEqual(["operations", null]);
  });

  it("clears what leaves rows out and keeps time, map and view", () => {
    const filter = new Filters(browser(`?${writeAddress("", ALL)}`));
    filter.clear();
    expect(filter.narrows).toBe(false);
    expect(filter.current).toEqual({ ...ALL, area: null, stream: null, where: {}, cell: null });
    filter.set({ at: null });
    expect(filter.current.speed).toBe(0);
  });
});

describe("what the map and the lists show", () => {
  const of = (patch: Partial<Filter>) => ({ ...NOTHING, ...patch });

  it("asks the lake only for what frames do not tell", () => {
    expect(asksLake(of({ where: { vehicle_id: ["a"], vehicle_type: ["Bus"] }, area: [0, 0, 1, 1] }))).toBe(false);
    expect(asksLake(of({ where: { make: ["BMW"] } }))).toBe(true);
    expect(asksLake(of({ cell: "87195da49ffffff" }))).toBe(true);
    expect(asksLake(of({ stream: "weather", cell: "87195da49ffffff" }))).toBe(false);
    expect(asksLake(of({ where: { make: ["BMW"] }, at: 1 }))).toBe(false);
  });

  it("knows which streams a filter can speak of, and counts cells of one that it can", () => {
    expect(speaks(of({ where: { make: ["BMW"] } }), "emergency")).toBe(false);
    expect(speaks(of({ where: { type: ["Fire"] } }), "emergency")).toBe(true);
    expect(counted(NOTHING)).toBe("gps");
    expect(counted(of({ where: { make: ["BMW"] } }))).toBe("vehicle");
    expect(counted(of({ stream: "weather" }))).toBe("weather");
  });

  it("lets through the vehicles that every part of the filter names", () => {
    expect(matcher(NOTHING, new Set())).toBe(undefined);
    const both = matcher(of({ where: { vehicle_type: ["Bus"], make: ["BMW"] } }), new Set(["a", "b"]));
    expect([both?.("a", "Bus"), both?.("a", "Car"), both?.("c", "Bus")]).toEqual([true, false, false]);
    const waiting = matcher(of({ where: { make: ["BMW"] } }), null);
    expect(waiting).toBe(undefined);
    expect(matcher(of({ stream: "weather" }), null)?.("a", "Bus")).toBe(false);
    expect(matcher(of({ where: { vehicle_id: ["b"] } }), new Set())?.("b", "")).toBe(true);
  });

  it("hides the places that the filter leaves out", () => {
    const at = { latitude: 51.5, longitude: -0.1, event_ms: 1, first_ms: 1 };
    const places = {
      emergency: [
        { place: "i1", type: "Fire", ...at },
        { place: "i2", type: "Medical", ...at, latitude: 55 },
      ],
      traffic: [{ place: "c1", camera_id: "c1", ...at }],
      weather: [],
    };
    const left = (patch: Partial<Filter>) => {
      const shown = placesShown(places as unknown as Places["places"], of(patch));
      return [...shown.emergency, ...shown.traffic].map((p) => p.place);
    };
    expect(left({})).toEqual(["i1", "i2", "c1"]);
    expect(left({ area: [-1, 51, 0, 52] })).toEqual(["i1", "c1"]);
    expect(left({ where: { type: ["Fire", "Medical"] } })).toEqual(["i1", "i2"]);
    expect(left({ stream: "traffic" })).toEqual(["c1"]);
  });
});
