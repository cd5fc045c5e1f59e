// Receives nothing; gives every chart the same colours and dashes: told apart by colour-blind eyes (after Okabe and Ito),
// and by pattern or dash where there is no colour at all.

import type { Theme } from "../state/prefs.svelte";

export const SERIES_COLORS: Record<Theme, readonly string[]> = {
  dark: ["#56b4e9", "#e69f00", "#2fb58f", "#d98bb9", "#ece35a", "#8ea2f5", "#e8703a", "#b2bfca"],
  light: ["#0072b2", "#b56b00", "#00795a", "#a8437f", "#756500", "#4a4fb0", "#b34700", "#55626e"],
};

/** Of the line number i; the first is whole. */
export const DASHES: readonly (readonly number[])[] = [
  [],
  [7, 4],
  [2, 3],
  [10, 3, 2, 3],
  [4, 2],
  [12, 4],
  [1, 4],
  [6, 2, 1, 2],
];

export function seriesColor(theme: Theme, index: number): string {
  const colors = SERIES_COLORS[theme];
  return colors[index % colors.length] as string;
}

export function dash(index: number): number[] {
  return [...(DASHES[index % DASHES.length] as readonly number[])];
}

export interface ChartInk {
  readonly text: string;
  readonly soft: string;
  readonly line: string;
  readonly panel: string;
}

/** The page's own colours as they are on this element. */
export function ink(element: Element): ChartInk {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(name).trim();
  return { text: color("--text"), soft: color("--soft"), line: color("--line"), panel: color("--panel") };
}
