import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Fleet, toLatitude } from "../state/fleet";
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
