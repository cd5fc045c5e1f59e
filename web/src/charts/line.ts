// Receives lines of one unit; draws them with uPlot into an element. New data only move the lines.

import "uplot/dist/uPlot.min.css";
import uPlot from "uplot";
import { type Zone, zoneName } from "../format";
import type { Theme } from "../state/prefs.svelte";
import { amount } from "./options";
import { dash, ink, seriesColor } from "./palette";
import type { Line, Lines, Panel } from "./shape";

const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });
const FONT = "11px system-ui, sans-serif";
export const LABELS_PX = 26; // of the times below a plot
const DAY_S = 86_400;
const WHOLE = Array.from({ length: 12 }, (_, i) => [1, 2, 5].map((n) => n * 10 ** i)).flat();

export interface LineLook {
  readonly theme: Theme;
  readonly zone: Zone;
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

/** One of several panels over the same times. */
export interface Among {
  /** Panels of one name move their cursors together. */
  readonly sync: string;
  /** It has the labels of time for all. */
  readonly lowest: boolean;
}

const MOVES = new Set(["mousemove", "mouseleave"]); // a drag stays with the panel that it began in

export function drawLine(box: HTMLElement, lines: Lines, panel: Panel, look: LineLook, among: Among | null): uPlot {
  const colors = ink(box);
  const grid = { stroke: colors.line, width: 1 };
  const axis = { stroke: colors.soft, grid, ticks: { show: false }, font: FONT };
  const moment = clock(look.zone, {
    day: "numeric",
    month: "short",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
  });
  const drawn = panel.of.map((i) => ({
    ...(lines.series[i] as Line),
    color: seriesColor(look.theme, i),
    dash: dash(i),
  }));
  const labelled = among === null || among.lowest;
  const whole = drawn.every((s) => s.values.every((v) => v === null || Number.isInteger(v)));
  return new uPlot(
    {
      width: look.width,
      height: look.height,
      padding: [8, 26, among ? 3 : 0, 0],
      scales: { x: { time: lines.time }, y: { range: (_, min, max) => range(min, max) } },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), zoneName(look.zone)),
      legend: { show: true, live: true, ...(among ? { mount: (plot, legend) => plot.root.prepend(legend) } : {}) },
      cursor: {
        y: false,
        drag: { x: look.onrange !== undefined, y: false, setScale: false },
        points: { size: 6 },
        ...(among ? { sync: { key: among.sync, filters: { pub: (type) => MOVES.has(type) } } } : {}),
      },
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
          size: labelled ? LABELS_PX : 0,
          gap: 3,
          ...(!labelled
            ? { space: 64, values: (_, splits) => splits.map(() => "") }
            : lines.time
              ? { space: 64, values: (_, splits, _axis, _space, step) => timeLabels(splits, step, look.zone) }
              : {}),
        },
        {
          ...axis,
          size: 44,
          gap: 3,
          ...(among ? { label: panel.unit, labelSize: 15, labelGap: 0, labelFont: FONT, space: 12 } : {}),
          ...(whole ? { incrs: WHOLE } : {}),
          values: (_, splits) => splits.map((v) => (v === null ? "" : short.format(v))),
        },
      ],
      series: [
        {
          label: "",
          value: (_, v) => (v === null ? "" : lines.time ? moment.format(v * 1000) : String(v)),
        },
        ...drawn.map((s) => ({
          label: s.name,
          stroke: s.color,
          dash: s.dash,
          width: 1.6,
          spanGaps: false,
          value: (_: uPlot, v: number | null) => (v === null || v === undefined ? "–" : amount(v, panel.unit)),
        })),
      ],
    },
    data(lines, panel),
    box,
  );
}

/** The legend says the newest values while no pointer asks for others. */
function last(plot: uPlot): void {
  const at = plot.data[0].length - 1;
  if (at >= 0) plot.setLegend({ idx: at }, false);
}

export function data(lines: Lines, panel: Panel): uPlot.AlignedData {
  return [[...lines.x], ...panel.of.map((i) => [...(lines.series[i] as Line).values])];
}

/** From zero where the numbers come near it, with a little air above. */
export function range(min: number | null, max: number | null): [number, number] {
  if (min === null || max === null) return [0, 1];
  const low = min >= 0 && (min < 0.6 * max || min === max) ? 0 : min;
  const air = (max - low || Math.abs(max) || 1) * 0.06;
  return [low === 0 ? 0 : low - air, max + air];
}
