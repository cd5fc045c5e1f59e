import { describe, expect, it } from "vitest";
import { decode, UNKNOWN } from "../wire/frame";
import { frame } from "./made";

describe("decode", () => {
  it("gives the columns that the server wrote, or positions would be drawn wrong", () => {
    const decoded = decode(frame([[3, 51.5, -0.12, 250]], [[3, "V3", "Car"]], true));
    expect(decoded.whole).toBe(true);
    expect(decoded.slot[0]).toBe(3);
    expect(decoded.latitude[0]).toBe(51_500_000);
    expect(decoded.longitude[0]).toBe(-120_000);
    expect(decoded.speed[0]).toBe(905);
    expect(decoded.heading[0]).toBe(UNKNOWN);
    expect(decoded.names).toEqual([[3, "V3", "Car"]]);
  });

  it("refuses bytes that are no frame, or the map would show noise", () => {
    expect(() => decode(new ArrayBuffer(64))).toThrow("not a Watling frame");
  });
});
