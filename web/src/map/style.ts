// Receives a theme; gives MapLibre the style of the page's own basemap. No glyphs, no sprites, no other host.

import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from "maplibre-gl";
import type { Theme } from "../state/prefs.svelte";
import { text } from "../text";
import { DENSITY_COLORS, MAP_COLORS, SPEED_COLORS, UNKNOWN_COLOR } from "./colors";

export const TRAIL = "trail";
export const INCIDENTS = "incidents";
export const CAMERAS = "cameras";
export const STATIONS = "stations";
export const CELLS = "cells";
export const AREA = "area";
export const PICKED = "picked";
/** The vehicles are drawn below this layer. */
export const ABOVE_VEHICLES = "incident-points";

const FONT = ["system-ui, sans-serif"];
const empty = { type: "FeatureCollection" as const, features: [] };
const isOpen: ExpressionSpecification = ["==", ["get", "open"], true];

function byStep(colors: readonly string[], unknown: string): ExpressionSpecification {
  const cases = colors.flatMap((color, step) => [step, color]);
  return ["match", ["get", "step"], ...cases, unknown] as unknown as ExpressionSpecification;
}

/** The fill of cells: `by` says which colour scale their steps are of. */
export function cellFill(theme: Theme, by: "density" | "speed"): ExpressionSpecification {
  return byStep(by === "density" ? DENSITY_COLORS[theme] : SPEED_COLORS[theme], UNKNOWN_COLOR[theme]);
}

export function mapStyle(theme: Theme): StyleSpecification {
  const c = MAP_COLORS[theme];
  const layers: LayerSpecification[] = [
    { id: "sea", type: "background", paint: { "background-color": c.sea } },
    { id: "land", type: "fill", source: "gb", "source-layer": "land", paint: { "fill-color": c.land } },
    {
      id: "urban",
      type: "fill",
      source: "gb",
      "source-layer": "urban",
      paint: { "fill-color": c.urban, "fill-opacity": ["interpolate", ["linear"], ["zoom"], 8, 1, 11, 0] },
    },
    { id: "lake", type: "fill", source: "gb", "source-layer": "lake", paint: { "fill-color": c.water } },
    {
      id: "river",
      type: "line",
      source: "gb",
      "source-layer": "river",
      paint: { "line-color": c.water, "line-width": 1.2 },
    },
    {
      id: "border",
      type: "line",
      source: "gb",
      "source-layer": "border",
      paint: { "line-color": c.border, "line-width": 0.7, "line-dasharray": [3, 2] },
    },
    {
      id: "road",
      type: "line",
      source: "gb",
      "source-layer": "road",
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": c.road, "line-width": ["interpolate", ["linear"], ["zoom"], 5, 0.8, 9, 2, 13, 5] },
    },
    {
      id: "route",
      type: "line",
      source: "gb",
      "source-layer": "route",
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": c.route, "line-width": ["interpolate", ["linear"], ["zoom"], 5, 1.2, 9, 3, 13, 7] },
    },
    {
      id: "cell-fill",
      type: "fill",
      source: CELLS,
      paint: { "fill-color": cellFill(theme, "density"), "fill-opacity": 0.55, "fill-antialias": false },
    },
    {
      id: "cell-picked",
      type: "line",
      source: CELLS,
      filter: ["==", ["get", "cell"], ""],
      paint: { "line-color": c.trail, "line-width": 2.5 },
    },
    {
      id: "area-line",
      type: "line",
      source: AREA,
      paint: { "line-color": c.trail, "line-width": 2, "line-dasharray": [3, 2] },
    },
    {
      id: "road-name",
      type: "symbol",
      source: "gb",
      "source-layer": "road",
      minzoom: 7,
      layout: {
        "symbol-placement": "line",
        "text-field": ["get", "road"],
        "text-font": FONT,
        "text-size": 10,
        "symbol-spacing": 260,
      },
      paint: { "text-color": c.label, "text-halo-color": c.halo, "text-halo-width": 1.5 },
    },
    {
      id: "place",
      type: "symbol",
      source: "gb",
      "source-layer": "place",
      layout: {
        "text-field": ["get", "name"],
        "text-font": FONT,
        "text-size": ["interpolate", ["linear"], ["get", "rank"], 4, 14, 9, 10.5],
        "symbol-sort-key": ["-", ["get", "people"]],
        "text-padding": 6,
        "text-max-width": 7,
      },
      paint: { "text-color": c.label, "text-halo-color": c.halo, "text-halo-width": 1.4 },
    },
    {
      id: "station-labels",
      type: "symbol",
      source: STATIONS,
      minzoom: 6.5,
      layout: { "text-field": ["get", "label"], "text-font": FONT, "text-size": 11, "text-padding": 4 },
      paint: { "text-color": c.weather, "text-halo-color": c.halo, "text-halo-width": 1.4 },
    },
    {
      id: "camera-points",
      type: "symbol",
      source: CAMERAS,
      minzoom: 6.5,
      layout: { "icon-image": `camera-${theme}`, "icon-allow-overlap": true, "icon-size": 0.5 },
    },
    {
      id: "trail-line",
      type: "line",
      source: TRAIL,
      layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": c.trail, "line-width": 3, "line-opacity": 0.75 },
    },
    {
      id: ABOVE_VEHICLES,
      type: "symbol",
      source: INCIDENTS,
      layout: {
        "icon-image": ["case", isOpen, `incident-${theme}`, `over-${theme}`],
        "icon-allow-overlap": true,
        "icon-size": ["case", isOpen, 0.5, 0.36],
        "symbol-sort-key": ["case", isOpen, 1, 0],
      },
    },
    {
      id: "picked-ring",
      type: "circle",
      source: PICKED,
      paint: {
        "circle-radius": 15,
        "circle-color": "transparent",
        "circle-stroke-color": c.trail,
        "circle-stroke-width": 2.5,
      },
    },
    {
      id: "incident-labels",
      type: "symbol",
      source: INCIDENTS,
      minzoom: 8,
      filter: isOpen,
      layout: {
        "text-field": ["get", "type"],
        "text-font": FONT,
        "text-size": 11,
        "text-offset": [0, 1.3],
        "text-anchor": "top",
      },
      paint: { "text-color": c.incident, "text-halo-color": c.halo, "text-halo-width": 1.4 },
    },
  ];
  return {
    version: 8,
    sources: {
      gb: { type: "vector", url: `pmtiles://${location.origin}/basemap/gb.pmtiles`, attribution: text.attribution },
      [CELLS]: { type: "geojson", data: empty },
      [AREA]: { type: "geojson", data: empty },
      [PICKED]: { type: "geojson", data: empty },
      [TRAIL]: { type: "geojson", data: empty },
      [INCIDENTS]: { type: "geojson", data: empty },
      [CAMERAS]: { type: "geojson", data: empty },
      [STATIONS]: { type: "geojson", data: empty },
    },
    layers,
  };
}

/** Pictures that the style names, drawn here: a triangle for an open incident, a small one once it is over, a square. */
export function mapPictures(): Map<string, ImageData> {
  const pictures = new Map<string, ImageData>();
  for (const theme of ["dark", "light"] as const) {
    const c = MAP_COLORS[theme];
    pictures.set(
      `incident-${theme}`,
      draw((g) => triangle(g, c.incident, c.halo, true)),
    );
    pictures.set(
      `over-${theme}`,
      draw((g) => triangle(g, c.over, c.halo, false)),
    );
    pictures.set(
      `camera-${theme}`,
      draw((g) => {
        g.fillStyle = c.halo;
        g.fillRect(12, 12, 24, 24);
        g.strokeStyle = c.camera;
        g.lineWidth = 4;
        g.strokeRect(14, 14, 20, 20);
        g.fillStyle = c.camera;
        g.fillRect(21, 21, 6, 6);
      }),
    );
  }
  return pictures;
}

const SIZE = 48;

function draw(paint: (context: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIZE;
  const context = canvas.getContext("2d");
  if (!context) throw new Error("the browser offers no 2D canvas");
  paint(context);
  return context.getImageData(0, 0, SIZE, SIZE);
}

function triangle(g: CanvasRenderingContext2D, color: string, halo: string, filled: boolean): void {
  g.beginPath();
  g.moveTo(24, 5);
  g.lineTo(44, 41);
  g.lineTo(4, 41);
  g.closePath();
  g.lineJoin = "round";
  g.lineWidth = 7;
  g.strokeStyle = halo;
  g.stroke();
  g.fillStyle = filled ? color : halo;
  g.fill();
  g.lineWidth = 3;
  g.strokeStyle = color;
  g.stroke();
  g.fillStyle = filled ? halo : color;
  g.fillRect(22, 17, 4, 12);
  g.fillRect(22, 32, 4, 4);
}
