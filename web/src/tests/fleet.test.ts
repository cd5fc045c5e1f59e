import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { BLOCK, Fleet, mercatorX, mercatorY, toLatitude } from "../state/fleet";
import { decode } from "../wire/frame";
import { frame } from "./made";

const at = (fleet: Fleet, id: string) => {
  const row = fleet.rowOf(id);
  if (row === null) throw new Error(`${id} is not known`);
  return fleet.drawn(row);
};

describe("Fleet", () => {
  beforeEach(() => vi.useFakeTimers({ now: Date.now() }));
  afterEach(() => vi.useRealTimers());

  it("moves a vehicle between two reports and stops it at the last: nothing is extrapolated", () => {
    const fleet = new Fleet();
    fleet.apply(decode(frame([[0, 51.5, -0.12, 0]], [[0, "V0", "Car"]], true)));
    const first = at(fleet, "V0");
    vi.advanceTimersByTime(2000);
    fleet.apply(decode(frame([[0, 51.51, -0.12, 0]])));
    expect(at(fleet, "V0").y).toBeCloseTo(first.y, 6);
    vi.advanceTimersByTime(1050);
    const middle = at(fleet, "V0");
    vi.advanceTimersByTime(60_000);
    const last = at(fleet, "V0");
    expect(middle.y).toBeCloseTo((first.y + last.y) / 2, 6);
    vi.advanceTimersByTime(60_000);
    expect(at(fleet, "V0").y).toBe(last.y);
  });

  it("does not drive a vehicle across the country when its position jumps", () => {
    const fleet = new Fleet();
    fleet.apply(decode(frame([[0, 51.5, -0.12, 0]], [[0, "V0", ""]], true)));
    vi.advanceTimersByTime(2000);
    fleet.apply(decode(frame([[0, 55.0, -3.0, 0]])));
    expect(toLatitude(at(fleet, "V0").y)).toBeCloseTo(55.0, 4);
  });

  it("keeps every vehicle over a reconnect to a server that numbers them anew, so that nothing blinks", () => {
    const fleet = new Fleet();
    fleet.apply(
      decode(
        frame(
          [
            [0, 51.5, -0.12, 0],
            [1, 52.0, -1.0, 0],
          ],
          [
            [0, "A", ""],
            [1, "B", ""],
          ],
          true,
        ),
      ),
    );
    const row = fleet.rowOf("B");
    fleet.apply(decode(frame([[0, 52.0, -1.0, 0]], [[0, "B", ""]], true)));
    expect(fleet.rowOf("B")).toBe(row);
    expect(fleet.rowOf("A")).not.toBeNull();
    vi.advanceTimersByTime(61_000);
    fleet.apply(decode(frame([[0, 52.0, -1.0, 0]], [[0, "B", ""]], true)));
    expect(fleet.rowOf("A")).toBeNull();
    expect(fleet.size).toBe(1);
  });

  it("grows past its first thousand vehicles and keeps them all", () => {
    const fleet = new Fleet();
    for (let first = 0; first < 3000; first += 20) {
      const some = Array.from({ length: 20 }, (_, i) => first + i);
      const places = some.map((i): [number, number, number, number] => [i, 50 + i / 1000, -1, 0]);
      fleet.apply(
        decode(
          frame(
            places,
            some.map((i): [number, string, string] => [i, `V${i}`, ""]),
          ),
        ),
      );
    }
    expect(fleet.size).toBe(3000);
    expect(fleet.find("V0")?.latitude).toBeCloseTo(50, 4);
    expect(fleet.find("V2999")?.latitude).toBeCloseTo(52.999, 4);
  });
});

describe("what the map and the list show", () => {
  const three = () => {
    const fleet = new Fleet();
    const places: [number, number, number, number][] = [
      [0, 51.5, -0.12, 0],
      [1, 51.5, -0.12, 0],
      [2, 52.5, -1.8, 90_000],
    ];
    const names: [number, string, string][] = [
      [0, "A", "Car"],
      [1, "B", "Truck"],
      [2, "C", "Car"],
    ];
    fleet.apply(decode(frame(places, names, true)));
    return fleet;
  };
  const ids = (fleet: Fleet) =>
    fleet
      .all()
      .map((v) => v.id)
      .sort();

  it("follows the filter's area, types and ids, and comes back when it is cleared", () => {
    const fleet = three();
    fleet.setFilter({ area: [-1, 51, 0, 52] });
    expect(ids(fleet)).toEqual(["A", "B"]);
    fleet.setFilter({ area: [-1, 51, 0, 52], matches: (_, type) => type === "Car" });
    expect(ids(fleet)).toEqual(["A"]);
    fleet.apply(decode(frame([[0, 53, -0.12, 0]]))); // it leaves the area
    expect(ids(fleet)).toEqual([]);
    expect(fleet.size).toBe(3);
    fleet.setFilter(null);
    expect(ids(fleet)).toEqual(["A", "B", "C"]);
  });

  it("names all vehicles that lie on each other, and no hidden one", () => {
    const fleet = three();
    const [x, y] = [mercatorX(-0.12), mercatorY(51.5)];
    expect(fleet.near(x, y, 1e-6, 1)).toEqual({ rows: [0], count: 2 });
    fleet.setFilter({ matches: (id) => id === "B" });
    expect(fleet.near(x, y, 1e-6, 5)).toEqual({ rows: [1], count: 1 });
  });

  it("sends the GPU the rows that changed, and nothing when nothing did", () => {
    const fleet = new Fleet();
    const many = Array.from({ length: 900 }, (_, i) => i);
    for (const part of [many.slice(0, 20), many.slice(20, 40)]) {
      const names = part.map((i): [number, string, string] => [i, `V${i}`, ""]);
      fleet.apply(
        decode(
          frame(
            part.map((i): [number, number, number, number] => [i, 51, -1, 0]),
            names,
          ),
        ),
      );
    }
    expect(fleet.takeChanged()).toEqual([[0, 40]]);
    expect(fleet.takeChanged()).toEqual([]);
    for (let first = 40; first < 900; first += 20) {
      const part = many.slice(first, first + 20);
      fleet.apply(
        decode(
          frame(
            part.map((i): [number, number, number, number] => [i, 51, -1, 0]),
            part.map((i): [number, string, string] => [i, `V${i}`, ""]),
          ),
        ),
      );
    }
    fleet.takeChanged();
    fleet.apply(
      decode(
        frame([
          [5, 51.001, -1, 0],
          [899, 51.001, -1, 0],
        ]),
      ),
    );
    expect(fleet.takeChanged()).toEqual([
      [0, BLOCK],
      [896, 900],
    ]);
  });

  it("knows how late the drawing is", () => {
    const fleet = three();
    expect(fleet.drawDelay(0.95)).toBeNull();
    fleet.apply(decode(frame([[0, 51.5, -0.12, 400]])));
    fleet.shownNow(); // of a frame before it
    expect(fleet.drawDelay(0.95)).toBeNull();
    fleet.takeDrawn();
    fleet.shownNow();
    expect(fleet.drawDelay(0.95)).toBeGreaterThanOrEqual(400);
    expect(fleet.drawDelay(0.95)).toBeLessThan(5000);
  });
});
