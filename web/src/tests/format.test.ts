import { describe, expect, it } from "vitest";
import { brief, compass, count, duration, moment, rate } from "../format";
import { backoff } from "../wire/link";

describe("format", () => {
  it("never writes a zero for what is not known", () => {
    for (const write of [count, brief, rate, duration]) {
      expect(write(null)).toBe("–");
      expect(write(undefined)).toBe("–");
    }
  });

  it("tells UTC from London in summer, or a report would be an hour off", () => {
    const july = Date.UTC(2026, 6, 1, 12, 0, 0);
    expect(moment(july, "utc", july)).toBe("12:00:00");
    expect(moment(july, "london", july)).toBe("13:00:00");
  });

  it("names lengths of time in the unit that fits", () => {
    expect(duration(1.23)).toBe("1.2 s");
    expect(duration(100)).toBe("100 s");
    expect(duration(600)).toBe("10 min");
    expect(duration(86_400 * 3)).toBe("3 d");
  });

  it("gives eight points of the compass", () => {
    expect([0, 44, 90, 181, 359].map(compass)).toEqual(["N", "NE", "E", "S", "N"]);
  });
});

describe("backoff", () => {
  it("doubles, stays bounded and spreads, or all pages would return at once", () => {
    expect(backoff(0, () => 0.5)).toBe(500);
    expect(backoff(3, () => 0.5)).toBe(4000);
    expect(backoff(60, () => 0.99)).toBeLessThanOrEqual(30_000);
    expect(backoff(3, () => 0)).not.toBe(backoff(3, () => 0.9));
  });
});
