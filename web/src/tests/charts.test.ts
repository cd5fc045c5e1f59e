import { describe, expect, it } from "vitest";
import { timeLabels } from "../charts/line";
import { options, describe as say } from "../charts/options";
import { heights } from "../charts/panels";
import { atMost, type Column, choose, group, lines, panels, toMs } from "../charts/shape";

const make: Column = { name: "make", type: "string" };
const n: Column = { name: "n", type: "int64" };
const kmh: Column = { name: "kmh", type: "double", unit: "km/h" };
const at: Column = { name: "minute", type: "timestamp[us, tz=UTC]" };

describe("what a chart draws", () => {
  it("takes a text column for the bars and every number, or a user would have to say it each time", () => {
    expect(choose("bars", [n, make, kmh], {})).toEqual({ x: 1, y: [0, 2], series: -1 });
    expect(choose("line", [make, at, n], {})).toEqual({ x: 1, y: [2], series: 0 });
    expect(choose("bars", [n, make, kmh], { y: "kmh" }).y).toEqual([2]);
  });

  it("sums a category that comes twice, largest first, and keeps what is not known apart from zero", () => {
    const grouped = group(
      "bars",
      [make, n],
      [
        ["BMW", 1],
        ["Ford", 5],
        ["BMW", 2],
        [null, null],
      ],
      {},
    );
    expect(grouped.categories.map((c) => c.name)).toEqual(["Ford", "BMW", "not known"]);
    expect(grouped.series[0]?.values).toEqual([5, 3, null]);
    expect(grouped.categories[2]?.value).toBeNull();
  });

  it("keeps the order that whoever asked gave, where each category comes once", () => {
    const rows = [
      ["Ford", 1],
      ["BMW", 5],
    ];
    const names = (kind: "bars" | "pie") => group(kind, [make, n], rows, {}).categories.map((c) => c.name);
    expect(names("bars")).toEqual(["Ford", "BMW"]);
    expect(names("pie")).toEqual(["BMW", "Ford"]);
  });

  it("joins what a pie cannot show, so that its whole stays the whole", () => {
    const rows = Array.from({ length: 12 }, (_, i) => [`m${i}`, 1]);
    const pie = atMost(group("pie", [make, n], rows, {}), 8, true);
    expect(pie.categories).toHaveLength(8);
    expect(pie.series[0]?.values.at(-1)).toBe(5);
    expect(pie.categories.at(-1)).toMatchObject({ value: null, joined: true });
  });

  it("draws no line across a time that one series lacks", () => {
    const rows = [
      ["2026-11-24T10:00:00Z", "car", 1],
      ["2026-11-24T10:02:00Z", "car", 3],
      ["2026-11-24T10:01:00Z", "bus", 2],
    ];
    const found = lines([at, make, n], rows, {});
    expect(found.time).toBe(true);
    expect(found.x).toHaveLength(3);
    expect(found.series).toEqual([
      { name: "car", unit: "", values: [1, null, 3] },
      { name: "bus", unit: "", values: [null, 2, null] },
    ]);
  });

  it("gives each unit a panel of its own, so that no one reads °C off an axis of mm", () => {
    const columns = [at, kmh, n, { name: "gusts", type: "double", unit: "km/h" }];
    const found = lines(columns, [["2026-11-24T10:00:00Z", 40, 7, 90]], {});
    expect(panels(found, "")).toEqual([
      { unit: "km/h", of: [0, 2] },
      { unit: "", of: [1] },
    ]);
    expect(panels(found, "m/s")).toEqual([{ unit: "m/s", of: [0, 1, 2] }]);
    const split = lines([at, make, kmh], [["2026-11-24T10:00:00Z", "BMW", 40]], {});
    expect(panels(split, "")).toEqual([{ unit: "km/h", of: [0] }]);
  });

  it("makes the plots of all panels equally high, and none too low to read", () => {
    expect(heights(226, 1)).toEqual([226]);
    expect(heights(268, 4)).toEqual([50, 50, 50, 76]);
    expect(heights(60, 2)).toEqual([40, 66]);
  });

  it("reads a time without an offset as UTC, as the lake means it", () => {
    expect(toMs("2026-07-01T12:00:00")).toBe(Date.UTC(2026, 6, 1, 12));
    expect(toMs("2026-07-01T12:00:00+01:00")).toBe(Date.UTC(2026, 6, 1, 11));
  });

  it("names the day where it begins, in the viewer's zone", () => {
    const evening = Date.UTC(2026, 6, 1, 22, 30) / 1000;
    expect(timeLabels([evening, evening + 1800, evening + 3600], 1800, "london")).toEqual(["23:30", "2 Jul", "00:30"]);
  });

  it("dims what was not picked and writes no HTML, which the page's policy would refuse", () => {
    const grouped = group(
      "bars",
      [make, n],
      [
        ["BMW", 1],
        ["Ford", 5],
      ],
      {},
    );
    const look = {
      theme: "dark",
      ink: { text: "", soft: "", line: "", panel: "" },
      label: "l",
      unit: "",
      picked: ["BMW"],
      pickable: true,
      width: 400,
      height: 180,
    } as const;
    const drawn = options("bars", grouped, look) as {
      series: { data: { itemStyle: { opacity: number } }[] }[];
      tooltip: { renderMode: string };
      aria: { enabled: boolean };
    };
    expect(drawn.series[0]?.data.map((d) => d.itemStyle.opacity)).toEqual([1, 0.3]);
    expect(drawn.tooltip.renderMode).toBe("richText");
    expect(drawn.aria.enabled).toBe(true);
  });

  it("says to a screen reader what the bars show", () => {
    const rows = [
      ["BMW", 1200],
      ["Ford", null],
    ];
    expect(say(group("bars", [make, kmh], rows, {}), { label: "Speed by make", unit: "km/h" })).toBe(
      "Speed by make: BMW 1,200 km/h; Ford not known.",
    );
  });
});
