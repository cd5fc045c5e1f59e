// Receives grouped values; gives the options that ECharts draws them by. Pure, so that it can be tested without a canvas.

import type { Theme } from "../state/prefs.svelte";
import { charts as text } from "../text/charts";
import { type ChartInk, SERIES_COLORS } from "./palette";
import type { Grouped, Kind } from "./shape";

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif";
const DIMMED = 0.3;
const LEGEND_PX = 22;
const SAID = 10;

const plain = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 2 });
const tenth = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1 });
const short = new Intl.NumberFormat("en-GB", { notation: "compact", maximumFractionDigits: 1 });

export function amount(value: number, unit: string): string {
  return unit ? `${plain.format(value)} ${unit}` : plain.format(value);
}

function clip(name: string, letters: number): string {
  return name.length > letters ? `${name.slice(0, letters - 1)}…` : name;
}

export interface Look {
  readonly theme: Theme;
  readonly ink: ChartInk;
  readonly label: string;
  readonly unit: string;
  readonly picked: readonly string[];
  readonly pickable: boolean;
  readonly width: number;
  readonly height: number;
}

/** Bars lie (names are read without turning the head), a histogram stands, a pie is a ring with its names beside it. */
export function options(kind: Exclude<Kind, "line">, grouped: Grouped, look: Look): Record<string, unknown> {
  const several = grouped.series.length > 1;
  const shown = (i: number) => {
    const value = grouped.categories[i]?.value ?? null;
    return look.picked.length === 0 || (value !== null && look.picked.includes(value)) ? 1 : DIMMED;
  };
  const common = {
    animation: false,
    color: SERIES_COLORS[look.theme],
    backgroundColor: "transparent",
    textStyle: { fontFamily: FONT, color: look.ink.soft },
    aria: {
      enabled: true,
      label: { enabled: true, description: describe(grouped, look) },
      decal: { show: several || kind === "pie" },
    },
  };
  if (kind === "pie") return { ...common, ...pie(grouped, look, shown) };
  return { ...common, ...bars(kind, grouped, look, shown) };
}

/** What a screen reader says; the table twin has the rest. */
export function describe(grouped: Grouped, look: Pick<Look, "label" | "unit">): string {
  const most = grouped.categories.slice(0, SAID).map((c, i) => {
    const values = grouped.series.map((s) => {
      const value = s.values[i] ?? null;
      const written = value === null ? text.missing : amount(value, look.unit);
      return grouped.series.length > 1 ? `${s.name} ${written}` : written;
    });
    return `${c.name} ${values.join(", ")}`;
  });
  const left = grouped.categories.length - most.length;
  return `${look.label}: ${most.join("; ")}${left > 0 ? `; ${text.moreRows(String(left))}` : ""}.`;
}

function pie(grouped: Grouped, look: Look, shown: (i: number) => number): Record<string, unknown> {
  const values = grouped.series[0]?.values ?? [];
  const total = values.reduce<number>((a, b) => a + (b ?? 0), 0);
  const share = (value: number) => (total > 0 ? `${tenth.format((100 * value) / total)} %` : "");
  const beside = look.width >= 280;
  const radius = Math.max(24, Math.min(look.height / 2 - 6, look.width * (beside ? 0.22 : 0.4)));
  return {
    tooltip: {
      ...tooltip(look),
      formatter: (p: { name: string; value: number; dataIndex: number }) => {
        const said = `${p.name}\n${amount(p.value, look.unit)} · ${share(p.value)}`;
        return grouped.categories[p.dataIndex]?.joined ? `${said}\n${text.joined}` : said;
      },
    },
    legend: {
      type: "plain",
      ...(beside ? { left: 2 * radius + 20, top: "middle", orient: "vertical" } : { bottom: 0, left: "center" }),
      selectedMode: false,
      itemWidth: 16,
      itemHeight: 11,
      itemGap: 7,
      textStyle: { color: look.ink.soft, fontSize: 12 },
      formatter: (name: string) => {
        const at = grouped.categories.findIndex((c) => c.name === name);
        return `${clip(name, beside ? 13 : 12)}  ${share(values[at] ?? 0)}`;
      },
    },
    series: [
      {
        type: "pie",
        name: look.label,
        radius: [radius * 0.52, radius],
        center: beside ? [radius + 6, "50%"] : ["50%", "42%"],
        label: { show: false },
        emphasis: { scale: false },
        cursor: look.pickable ? "pointer" : "default",
        data: grouped.categories.map((c, i) => ({
          name: c.name,
          value: Math.max(0, values[i] ?? 0),
          itemStyle: { opacity: shown(i), borderColor: look.ink.panel, borderWidth: 1.5 },
        })),
      },
    ],
  };
}

function bars(
  kind: "bars" | "histogram",
  grouped: Grouped,
  look: Look,
  shown: (i: number) => number,
): Record<string, unknown> {
  const several = grouped.series.length > 1;
  const lying = kind === "bars";
  const letters = Math.max(8, Math.floor(look.width / 26));
  const category = {
    type: "category",
    data: grouped.categories.map((c) => c.name),
    inverse: lying,
    axisTick: { show: false },
    axisLine: { lineStyle: { color: look.ink.line } },
    axisLabel: {
      color: look.ink.soft,
      fontSize: 12,
      formatter: (name: string) => clip(name, lying ? letters : 10),
      hideOverlap: true,
    },
  };
  const value = {
    type: "value",
    splitNumber: look.width < 320 ? 2 : 4,
    axisLabel: { show: !lying, color: look.ink.soft, fontSize: 11, formatter: (v: number) => short.format(v) },
    splitLine: { show: !lying, lineStyle: { color: look.ink.line } },
  };
  return {
    tooltip: {
      ...tooltip(look),
      formatter: (p: { name: string; seriesName: string; value: number | null }) =>
        `${p.name}${several ? `\n${p.seriesName}` : ""}\n${p.value === null ? "–" : amount(p.value, look.unit)}`,
    },
    grid: { left: 4, right: lying ? 48 : 14, top: several ? LEGEND_PX + 6 : 8, bottom: 2, outerBoundsMode: "same" },
    ...(several
      ? {
          legend: {
            type: "plain",
            top: 0,
            selectedMode: false,
            itemWidth: 16,
            itemHeight: 11,
            textStyle: { color: look.ink.soft, fontSize: 12 },
          },
        }
      : {}),
    xAxis: lying ? value : category,
    yAxis: lying ? category : value,
    series: grouped.series.map((s) => ({
      type: "bar",
      name: s.name,
      ...(kind === "histogram" && !several ? { barCategoryGap: "6%" } : { barMaxWidth: 26 }),
      cursor: look.pickable ? "pointer" : "default",
      label: {
        show: lying, // beside the bar, where a person looks; the axis then says nothing more
        position: "right",
        color: look.ink.soft,
        fontSize: 11,
        formatter: (p: { value: number | null }) => (p.value === null ? "–" : short.format(p.value)),
      },
      data: s.values.map((v, i) => ({ value: v, itemStyle: { opacity: shown(i) } })),
    })),
  };
}

function tooltip(look: Look): Record<string, unknown> {
  return {
    trigger: "item",
    renderMode: "richText", // HTML would need styles within the text, which the page's policy forbids
    confine: true,
    backgroundColor: look.ink.panel,
    borderColor: look.ink.line,
    textStyle: { color: look.ink.text, fontSize: 12 },
  };
}
