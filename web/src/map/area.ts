// Receives drags on the map (armed by a button, or with Shift held); gives the rectangle that was drawn.

import type { LngLat, Map as MapLibre, MapMouseEvent, MapTouchEvent } from "maplibre-gl";

/** West, south, east, north, in degrees. */
export type Area = [w: number, s: number, e: number, n: number];

const SMALLEST_PX = 6;

/** The rectangle between two corners, rounded to the metre; null when it is too small to mean one. */
export function areaBetween(a: { lng: number; lat: number }, b: { lng: number; lat: number }): Area | null {
  const round = (value: number) => Math.round(value * 1e5) / 1e5;
  const area: Area = [Math.min(a.lng, b.lng), Math.min(a.lat, b.lat), Math.max(a.lng, b.lng), Math.max(a.lat, b.lat)];
  const rounded = area.map(round) as Area;
  return rounded[0] < rounded[2] && rounded[1] < rounded[3] ? rounded : null;
}

export function isArea(area: readonly (number | null)[]): area is Area {
  const [w, s, e, n] = area as [number, number, number, number];
  if (area.length !== 4 || area.some((v) => typeof v !== "number" || !Number.isFinite(v))) return false;
  return w < e && s < n && w >= -180 && e <= 180 && s >= -90 && n <= 90;
}

export function areaFeature(area: Area | null): GeoJSON.Feature[] {
  if (!area) return [];
  const [w, s, e, n] = area;
  const ring = [
    [w, s],
    [e, s],
    [e, n],
    [w, n],
    [w, s],
  ];
  return [{ type: "Feature", properties: {}, geometry: { type: "Polygon", coordinates: [ring] } }];
}

export class AreaTool {
  #armed = false;
  #from: { at: LngLat; x: number; y: number } | null = null;

  constructor(
    private readonly map: MapLibre,
    /** The rectangle while it is drawn. */
    private readonly drawn: (area: Area | null) => void,
    /** The end of a drag: the rectangle, or null when it was given up. */
    private readonly done: (area: Area | null) => void,
  ) {
    map.boxZoom.disable();
    map.on("mousedown", this.#begin);
    map.on("touchstart", this.#begin);
    map.on("mousemove", this.#move);
    map.on("touchmove", this.#move);
    window.addEventListener("mouseup", this.#end);
    window.addEventListener("touchend", this.#end);
    window.addEventListener("keydown", this.#key, true);
  }

  /** The next drag draws. */
  arm(armed: boolean): void {
    this.#armed = armed;
    this.map.getCanvas().style.cursor = armed ? "crosshair" : "";
  }

  get armed(): boolean {
    return this.#armed;
  }

  remove(): void {
    window.removeEventListener("mouseup", this.#end);
    window.removeEventListener("touchend", this.#end);
    window.removeEventListener("keydown", this.#key, true);
  }

  #last: { at: LngLat; x: number; y: number } | null = null;

  #begin = (event: MapMouseEvent | MapTouchEvent): void => {
    const original = event.originalEvent;
    if (!this.#armed && !(original instanceof MouseEvent && original.shiftKey && original.button === 0)) return;
    if ("touches" in original && original.touches.length !== 1) return;
    event.preventDefault(); // the map stays where it is
    original.preventDefault();
    this.#from = this.#last = { at: event.lngLat, x: event.point.x, y: event.point.y };
  };

  #move = (event: MapMouseEvent | MapTouchEvent): void => {
    if (!this.#from) return;
    event.preventDefault();
    this.#last = { at: event.lngLat, x: event.point.x, y: event.point.y };
    this.drawn(areaBetween(this.#from.at, event.lngLat));
  };

  #end = (): void => {
    const [from, to] = [this.#from, this.#last];
    if (!from || !to) return;
    this.#from = this.#last = null;
    this.arm(false);
    const large = Math.min(Math.abs(from.x - to.x), Math.abs(from.y - to.y)) >= SMALLEST_PX;
    this.drawn(null);
    this.done(large ? areaBetween(from.at, to.at) : null);
  };

  #key = (event: KeyboardEvent): void => {
    if (event.key !== "Escape" || !(this.#armed || this.#from)) return;
    event.stopPropagation();
    this.#from = this.#last = null;
    this.arm(false);
    this.drawn(null);
    this.done(null);
  };
}
