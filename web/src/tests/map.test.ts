import { describe, expect, it } from "vitest";
import { areaBetween, isArea } from "../map/area";
import { densitySteps, resolutionAt, stepOf } from "../map/cells";
import { KIND_COLORS, KINDS, kindOf } from "../map/kinds";

describe("cells", () => {
  it("grow finer with the zoom and stay within what the server offers", () => {
    const all = Array.from({ length: 60 }, (_, i) => resolutionAt(4 + i / 4));
    expect(all).toEqual([...all].sort((a, b) => a - b));
    expect([Math.min(...all), Math.max(...all)]).toEqual([3, 10]);
  });

  it("have steps that rise, also where there is little to tell apart", () => {
    expect(densitySteps(0)).toEqual([1]);
    expect(densitySteps(3)).toEqual([1, 2]);
    expect(densitySteps(100_000)).toEqual([1, 10, 100, 1000, 10_000]);
  });

  it("put each value on its step, and an unknown one on none", () => {
    expect([0, 29, 30, 500, null].map((v) => stepOf(v, [0, 30, 60]))).toEqual([0, 0, 1, 2, -1]);
  });
});

describe("an area", () => {
  it("is the same from whichever corner it was drawn, and nothing when it has no size", () => {
    const [a, b] = [
      { lng: -1.2, lat: 52 },
      { lng: -0.5, lat: 51.5 },
    ];
    expect(areaBetween(a, b)).toEqual([-1.2, 51.5, -0.5, 52]);
    expect(areaBetween(b, a)).toEqual([-1.2, 51.5, -0.5, 52]);
    expect(areaBetween(a, a)).toBeNull();
  });

  it("is refused when a field is empty, not a number or the wrong way round", () => {
    expect(isArea([-1, 51, 0, 52])).toBe(true);
    for (const wrong of [
      [0, 51, -1, 52],
      [-1, 52, 0, 51],
      [-1, 51, 0, null],
      [-1, 51, 0, 91],
      [Number.NaN, 1, 2, 3],
    ]) {
      expect(isArea(wrong)).toBe(false);
    }
  });
});

describe("a vehicle's kind", () => {
  it("is read from what the stream says, and has a colour in each theme", () => {
    const said = ["Car", "private", "Van", "Truck", "HGV", "Bus", "Motorcycle", "Fire Engine", "", "hovercraft"];
    const kinds = said.map((type) => KINDS[kindOf(type)]);
    expect(kinds).toEqual("car car van truck truck bus motorcycle emergency other other".split(" "));
    for (const colors of Object.values(KIND_COLORS)) expect(new Set(colors).size).toBe(KINDS.length);
  });
});
