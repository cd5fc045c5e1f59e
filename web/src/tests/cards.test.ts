import { describe, expect, it } from "vitest";
import type { Picture, Track } from "../cards/ask";
import { life } from "../cards/incident";
import { merged } from "../cards/pictures";
import { pause } from "../cards/polled.svelte";
import { events, points, speeds, trail } from "../cards/track";

const T = 1_700_000_000_000;

/** Reports of [seconds, latitude, longitude, km/h]. */
function track(reports: [number, number | null, number | null, number | null][]): Track {
  return {
    event_ms: reports.map((r) => T + r[0] * 1000),
    latitude: reports.map((r) => r[1]),
    longitude: reports.map((r) => r[2]),
    speed_kmh: reports.map((r) => r[3]),
    heading_deg: reports.map(() => null),
    stream: reports.map(() => "gps"),
    topic: reports.map(() => "gps_data"),
    partition: reports.map(() => 2),
    offset: reports.map((_, i) => 100 + i),
  };
}

describe("a vehicle's way", () => {
  it("is not drawn across a silence: nobody knows where the vehicle was", () => {
    const way = points(
      track([
        [0, 52, -1, 90],
        [30, 52.001, -1, 90],
        [91, 52.002, -1, 90],
        [100, 52.003, -1, 90],
      ]),
      T + 1e9,
    );
    expect(trail(way).map((line) => line.length)).toEqual([2, 2]);
  });
  it("is not drawn across a jump that no car drives, and is across the noise of two receivers", () => {
    const jump = points(
      track([
        [0, 52, -1, 90],
        [1, 52.01, -1, 90],
        [2, 52.0001, -1, 90],
        [2, 52.001, -1, 90],
      ]),
      T + 1e9,
    );
    expect(trail(jump).map((line) => line.length)).toEqual([1, 1, 2]);
  });
  it("leaves out reports without a position and those after the moment shown", () => {
    const known = track([
      [0, 52, -1, 90],
      [1, null, -1, 90],
      [2, 52.0001, -1, 90],
    ]);
    expect(points(known, T + 2000)).toHaveLength(2);
    expect(points(known, T + 1999)).toHaveLength(1);
  });
});

describe("a vehicle's speeds", () => {
  it("have a row without speed in each gap, and one row a moment", () => {
    const { rows } = speeds(
      track([
        [0, 52, -1, 90],
        [0, 52, -1, 91],
        [1, 52, -1, null],
        [100, 52, -1, 50],
      ]),
      T + 1e9,
    );
    expect(rows).toEqual([
      [T, 90],
      [T + 1000, null],
      [T + 100_000, 50],
    ]);
  });
  it("last events are the newest up to the moment, newest first, with their place in Kafka", () => {
    const found = events(
      track([
        [0, 52, -1, 1],
        [1, 52, -1, 2],
        [2, 52, -1, 3],
      ]),
      T + 1500,
      5,
    );
    expect(found.map((e) => [e.speed, e.partition, e.offset])).toEqual([
      [2, 2, 101],
      [1, 2, 100],
    ]);
  });
});

describe("an incident's life", () => {
  const row = (seconds: number, status: string, description?: string) => ({
    event_time: T + seconds * 1000,
    type: "Fire",
    status,
    ...(description ? { description } : {}),
  });
  it("has a step where something changed; what a report leaves out stays as it was told", () => {
    const { steps, later } = life([row(0, "Reported", "smoke"), row(5, "Reported"), row(9, "Attending")], null);
    expect(steps.map((s) => [s.status, s.description, s.reports])).toEqual([
      ["Reported", "smoke", 2],
      ["Attending", "smoke", 1],
    ]);
    expect(steps[1]?.ms).toBe(T + 9000);
    expect(later).toBe(0);
  });
  it("at a moment of the past does not know the future, and says that there is one", () => {
    const { steps, later } = life([row(0, "Reported"), row(5, "Attending"), row(9, "Resolved")], T + 6000);
    expect(steps.at(-1)?.status).toBe("Attending");
    expect(later).toBe(1);
  });
});

it("pictures are listed once, newest first, whatever order they were read in", () => {
  const picture = (ms: number) => ({ event_ms: ms, url: `/api/pictures/traffic/${ms}` }) as Picture;
  expect(merged([picture(2), picture(1)], [picture(3), picture(2)]).map((p) => p.event_ms)).toEqual([3, 2, 1]);
});

it("a card whose server is away asks less often, a minute apart at most", () => {
  expect(pause(5000, 0, () => 0.5)).toBe(5000);
  expect(pause(5000, 2, () => 0.5)).toBe(20_000);
  expect(pause(5000, 50, () => 1)).toBe(60_000);
});
