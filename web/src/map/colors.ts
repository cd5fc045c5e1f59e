// Receives nothing; gives the map and its legend the same colours. Ordered by lightness too, so that they also work
// for colour-blind eyes and in print.

import type { Theme } from "../state/prefs.svelte";

export const SPEED_STEPS = [0, 30, 60, 90, 120] as const;

export const SPEED_COLORS: Record<Theme, readonly string[]> = {
  dark: ["#8a5fd6", "#4f83d1", "#2fb0a8", "#9fcf5b", "#f4dd5a"],
  light: ["#5b2a9d", "#2f5fb3", "#12807c", "#5f8f1a", "#b88300"],
};

export const UNKNOWN_COLOR: Record<Theme, string> = { dark: "#93a1ad", light: "#687784" };

/** Steps of counts, from few to many. */
export const DENSITY_COLORS: Record<Theme, readonly string[]> = {
  dark: ["#274a63", "#2f6f8c", "#36979f", "#7cc08f", "#e6e27a"],
  light: ["#cfe3ea", "#94c4cf", "#4f9fb3", "#256f94", "#123d66"],
};

export function rgb(hex: string): [number, number, number] {
  return [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16) / 255) as [number, number, number];
}

export interface MapColors {
  readonly sea: string;
  readonly land: string;
  readonly urban: string;
  readonly water: string;
  readonly border: string;
  readonly road: string;
  readonly route: string;
  readonly label: string;
  readonly halo: string;
  readonly trail: string;
  readonly incident: string;
  readonly over: string;
  readonly camera: string;
  readonly weather: string;
}

export const MAP_COLORS: Record<Theme, MapColors> = {
  dark: {
    sea: "#0b1016",
    land: "#151c23",
    urban: "#1c252e",
    water: "#0b1016",
    border: "#2c3944",
    road: "#2b3743",
    route: "#3c4f60",
    label: "#8796a3",
    halo: "#11171d",
    trail: "#e9eef2",
    incident: "#ff7a66",
    over: "#6b7985",
    camera: "#8fb4d8",
    weather: "#a8b6c2",
  },
  light: {
    sea: "#d6e0e8",
    land: "#f5f6f4",
    urban: "#e9e9e5",
    water: "#d6e0e8",
    border: "#c3cbd0",
    road: "#cfd3d3",
    route: "#b3bdc4",
    label: "#5f6e7a",
    halo: "#f9faf9",
    trail: "#1c2730",
    incident: "#c8321d",
    over: "#8a969f",
    camera: "#2f628f",
    weather: "#4b5b68",
  },
};
