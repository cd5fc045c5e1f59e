// Receives lines; draws them with uPlot into an element. A new theme or width draws anew, new data only move the lines.

import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { type Zone, zoneName } from "../format";
import type { Theme } from "../state/prefs.svelte";
import { amount } from "./options";
import { dash, ink, seriesColor } from "./palette";
import type { Lines } from "./shape";

const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const DAY_S = 86_400;
const WHOLE = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();

export interface LineLook {
  readonly theme: Theme;
  readonly zone: Zone;
  readonly unit: string;
  readonly width: number;
  readonly height: number;
  /** Called with the ends of a range that was dragged over, ms since 1970 where x is time. */
  readonly onrange?: ((from: number, to: number) => void) | undefined;
}

function clock(zone: Zone, parts: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  return new Intl.DateTimeFormat("en-GB", { timeZone: zoneName(zone), hourCycle: "h23", ...parts });
}

/** Labels of a time axis: seconds only where they differ, the day where it begins. */
export function timeLabels(splits: readonly (number | null)[], step: number, zone: Zone): string[] {
  const time = clock(zone, { hour: "2-digit", minute: "2-digit", ...(step < 60 ? { second: "2-digit" } : {}) });
  const day = clock(zone, { day: "numeric", month: "short" });
  let before = "";
  return splits.map((s) => {
    if (s === null) return "";
    const today = day.format(s * 1000);
    if (step >= DAY_S) return today;
    const label = before !== "" && before !== today ? today : time.format(s * 1000);
    before = today;
    return label;
  });
}

export function drawLine(box: HTMLElement, lines: Lines, look: LineLook): uPlot {
  const colors = ink(box);
  const grid = { stroke: colors.line, width: 1 };
  const axis = { stroke: colors.soft, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
  const moment = clock(look.zone, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const whole = lines.series.every((s) => s.values.every((v) => v === null || Number.isInteger(v)));
  return new uPlot(
    {
      width: look.width,
      height: look.height,
      padding: [8, 26, 0, 0],
      scales: { x: { time: lines.time }, y: { range: (_, min, max) => range(min, max) } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zoneName(look.zone)),
      legend: { show: true, live: true },
      cursor: { y: false, drag: { x: look.onrange !== undefined, y: false, setScale: false }, points: { size: 6 } },
      hooks: {
        ready: [last],
        setData: [last],
        setCursor: [(plot) => plot.cursor.idx === null && last(plot)],
        setSelect: [
          (plot) => {
            if (plot.select.width < 4) return;
            const scale = lines.time ? 1000 : 1;
            const from = plot.posToVal(plot.select.left, "x") * scale;
            const to = plot.posToVal(plot.select.left + plot.select.width, "x") * scale;
            plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
            look.onrange?.(Math.round(from), Math.round(to));
          },
        ],
      },
      axes: [
        {
          ...axis,
          size: 26,
          gap: 3,
          ...(lines.time
            ? { space: 64, values: (_, splits, _axis, _space, step) => timeLabels(splits, step, look.zone) }
            : {}),
        },
        {
          ...axis,
          size: 44,
          gap: 3,
          ...(whole ? { incrs: WHOLE } : {}),
          values: (_, splits) => splits.map((v) => (v === null ? "" : short.format(v))),
        },
      ],
      series: [
        {
          label: "",
          value: (_, v) => (v === null ? "" : lines.time ? moment.format(v * 1000) : String(v)),
        },
        ...lines.series.map((s, i) => ({
          label: s.name,
          stroke: seriesColor(look.theme, i),
          dash: dash(i),
          width: 1.6,
          spanGaps: false,
          value: (_: uPlot, v: number | null) => (v === null || v === undefined ? "–" : amount(v, look.unit)),
        })),
      ],
    },
    data(lines),
    box,
  );
}

/** The legend says the newest values while no pointer asks for others. */
function last(plot: uPlot): void {
  const at = plot.data[0].length - 1;
  if (at >= 0) plot.setLegend({ idx: at }, false);
}

export function data(lines: Lines): uPlot.AlignedData {
  return [[...lines.x], ...lines.series.map((s) => [...s.values])];
}

/** From zero where the numbers come near it, with a little air above. */
export function range(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const low = min >= 0 && (min < 0.6 * max || min === max) ? 0 : min;
  const air = (max - low || Math.abs(max) || 1) * 0.06;
  return [low === 0 ? 0 : low - air, max + air];
}
