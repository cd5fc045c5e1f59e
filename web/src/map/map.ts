// Receives the fleet, places and choices; keeps one MapLibre map in step with them. The view moves by hand alone.

import "maplibre-gl/dist/maplibre-gl.css";
import {
  AttributionControl,
  addProtocol,
  type GeoJSONSource,
  Map as MapLibre,
  NavigationControl,
  type PointLike,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { Protocol } from "pmtiles";
import { clock, type Fleet, mercatorX, mercatorY, toLatitude, toLongitude } from "../state/fleet";
import type { Theme } from "../state/prefs.svelte";
import { isOpen } from "../wire/incident";
import type { Camera, Incident, Places, Station } from "../wire/types";
import { type Area, AreaTool, areaFeature } from "./area";
import type { Cells } from "./cells";
import {
  ABOVE_VEHICLES,
  AREA,
  CAMERAS,
  CELLS,
  cellFill,
  INCIDENTS,
  mapPictures,
  mapStyle,
  PICKED,
  STATIONS,
  TRAIL,
} from "./style";
import { type ColorBy, VehicleLayer } from "./vehicles";

const PICK_PX = 14;
const PICK_MOST = 12;
const RETRY_MS = 5000;
const FADE_EVERY_S = 2;
const ICON_PX = 7; // a camera lies under the vehicles: one that is nearer than this is meant
const HOME: [[number, number], [number, number]] = [
  [-2.15, 51.42],
  [0.2, 52.62],
];
setWorkerUrl(workerUrl);
addProtocol("pmtiles", new Protocol().tile);

/** Where the map looks; it looks north always. */
export interface View {
  readonly latitude: number;
  readonly longitude: number;
  readonly zoom: number;
}

export interface MapEvents {
  /** Vehicles under a click, nearest first; empty for a click beside them. `count`: how many there are in all. */
  picked(ids: string[], count: number): void;
  /** A cell was clicked and no vehicle. */
  pickedCell(cell: string): void;
  /** A camera or an incident was clicked. */
  pickedPlace(kind: "camera" | "incident", id: string): void;
  /** The pointer is over that cell, or over none. */
  overCell(cell: { cell: string; count: number; speed: number | null } | null): void;
  /** The user moved the map. */
  moved(): void;
  /** The map rests here now, whoever moved it. */
  rests(view: View): void;
  /** A rectangle was drawn; null: given up. */
  drawn(area: Area | null): void;
}

export class CityMap {
  readonly map: MapLibre;
  #layer: VehicleLayer;
  #places: Places["places"] | null = null;
  #trail: readonly (readonly [number, number])[][] = [];
  #picked: { latitude: number; longitude: number } | null = null;
  #cells: Cells | null = null;
  #area: Area | null = null;
  #pickedCell: string | null = null;
  #tool: AreaTool;
  #drawnVersion = -1;
  #drawnAt = 0;
  #ready = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    container: HTMLElement,
    private fleet: Fleet,
    private theme: Theme,
    view: View | null,
    private readonly events: MapEvents,
  ) {
    this.#layer = new VehicleLayer(fleet, theme);
    this.map = new MapLibre({
      container,
      style: mapStyle(theme),
      ...(view
        ? { center: [view.longitude, view.latitude] as [number, number], zoom: view.zoom }
        : { bounds: HOME, fitBoundsOptions: { padding: 30 } }),
      maxBounds: [
        [-20, 46],
        [12, 63],
      ],
      minZoom: 4,
      maxZoom: 17,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      attributionControl: false,
      fadeDuration: 0,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.addControl(new AttributionControl({ compact: false }), "bottom-right");
    this.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    this.map.addControl(new ScaleControl({ unit: "metric" }), "bottom-left");
    const pictures = mapPictures();
    this.map.on("style.load", () => {
      for (const [name, picture] of pictures) {
        if (!this.map.hasImage(name)) this.map.addImage(name, picture);
      }
      if (!this.map.getLayer("vehicles")) this.map.addLayer(this.#layer, ABOVE_VEHICLES);
      this.#ready = true;
      if (this.#places) this.showPlaces(this.#places);
      this.showTrail(this.#trail);
      this.showPicked(this.#picked);
      this.showCells(this.#cells);
      this.showArea(this.#area);
      this.pickCell(this.#pickedCell);
    });
    this.#tool = new AreaTool(
      this.map,
      (area) => this.#set(AREA, areaFeature(area ?? this.#area)),
      (area) => this.events.drawn(area),
    );
    let rested = "";
    this.map.on("resize", () => {
      rested = JSON.stringify(this.view); // the page's layout changed, nobody moved the map
    });
    this.map.on("moveend", () => {
      const at = JSON.stringify(this.view);
      if (at === rested) return; // a vehicle is followed that stands
      rested = at;
      this.events.rests(this.view);
    });
    this.map.on("click", (event) => {
      const x = mercatorX(event.lngLat.lng);
      const y = mercatorY(event.lngLat.lat);
      const radius = PICK_PX / (512 * 2 ** this.map.getZoom());
      if (event.originalEvent.shiftKey) return; // a small drag for an area
      const incident = this.#placeAt(event.point, ABOVE_VEHICLES);
      if (incident) return this.events.pickedPlace("incident", incident);
      const camera = this.#placeAt(event.point, "camera-points");
      if (camera && !this.fleet.near(x, y, (radius / PICK_PX) * ICON_PX, 1).count)
        return this.events.pickedPlace("camera", camera);
      const { rows, count } = this.fleet.near(x, y, radius, PICK_MOST);
      const cell = rows.length ? null : this.#cellAt(event.point);
      if (cell) this.events.pickedCell(cell.cell);
      else
        this.events.picked(
          rows.map((row) => this.fleet.vehicle(row)?.id).filter((id) => id !== undefined),
          count,
        );
    });
    // a server that is away for a moment leaves holes in the basemap: ask again for what is missing
    this.map.on("error", () => {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.map.getSource("gb") && this.map.refreshTiles("gb"), RETRY_MS);
    });
    this.map.on("dragstart", () => this.events.moved());
    this.map.on("mousemove", (event) => {
      const radius = PICK_PX / 2 / (512 * 2 ** this.map.getZoom());
      if (this.#tool.armed) return;
      const hit = this.fleet.near(mercatorX(event.lngLat.lng), mercatorY(event.lngLat.lat), radius, 1).count > 0;
      const cell = this.#cellAt(event.point);
      const place = this.#placeAt(event.point, ABOVE_VEHICLES) ?? this.#placeAt(event.point, "camera-points");
      this.map.getCanvas().style.cursor = hit || cell || place ? "pointer" : "";
      this.events.overCell(cell);
    });
  }

  setTheme(theme: Theme): void {
    this.#ready = false;
    this.theme = theme;
    this.#layer.setTheme(theme);
    this.map.setStyle(mapStyle(theme), { diff: false });
  }

  /** Call once an animation frame: draws again when vehicles changed or move, as fast as the GPU does. */
  step(): void {
    if (!this.#layer.finished()) return;
    const now = clock();
    const still = this.#drawnVersion === this.fleet.version && this.fleet.time.now() > this.fleet.movingUntil;
    if (still && now - this.#drawnAt < FADE_EVERY_S) return; // what is silent fades, also when nothing is heard at all
    this.#drawnAt = now;
    this.#drawnVersion = this.fleet.version;
    this.map.triggerRepaint();
  }

  /** Show another fleet: live or of another moment. */
  setFleet(fleet: Fleet): void {
    if (fleet === this.fleet) return;
    this.fleet = fleet;
    this.#drawnVersion = -1;
    this.#layer.setFleet(fleet);
  }

  setColorBy(by: ColorBy): void {
    this.#layer.colorBy = by;
    this.map.triggerRepaint();
  }

  get view(): View {
    const { lat, lng } = this.map.getCenter();
    const round = (value: number, digits: number) => Math.round(value * 10 ** digits) / 10 ** digits;
    return { latitude: round(lat, 5), longitude: round(lng, 5), zoom: round(this.map.getZoom(), 2) };
  }

  /** Look there at once: a link was opened, or the browser's back button pressed. */
  look(view: View): void {
    this.map.jumpTo({ center: [view.longitude, view.latitude], zoom: view.zoom });
  }

  /** What the map shows now, as an area. */
  get bounds(): Area {
    const b = this.map.getBounds();
    const round = (value: number) => Math.round(value * 1e5) / 1e5;
    return [round(b.getWest()), round(b.getSouth()), round(b.getEast()), round(b.getNorth())];
  }

  /** The next drag on the map draws an area. */
  drawArea(armed: boolean): void {
    this.#tool.arm(armed);
  }

  showArea(area: Area | null): void {
    this.#area = area;
    if (this.#ready) this.#set(AREA, areaFeature(area));
  }

  showCells(cells: Cells | null): void {
    this.#cells = cells;
    if (!this.#ready) return;
    if (cells) this.map.setPaintProperty("cell-fill", "fill-color", cellFill(this.theme, cells.layer));
    this.#set(CELLS, cells?.features ?? []);
  }

  pickCell(cell: string | null): void {
    this.#pickedCell = cell;
    if (this.#ready) this.map.setFilter("cell-picked", ["==", ["get", "cell"], cell ?? ""]);
  }

  /** The id of the incident or camera whose sign is drawn there. */
  #placeAt(point: PointLike, layer: string): string | null {
    if (!this.#ready || !this.map.getLayer(layer)) return null;
    const id: unknown = this.map.queryRenderedFeatures(point, { layers: [layer] })[0]?.properties.id;
    return typeof id === "string" ? id : null;
  }

  #cellAt(point: PointLike): { cell: string; count: number; speed: number | null } | null {
    if (!this.#cells || !this.#ready || !this.map.getLayer("cell-fill")) return null;
    const found = this.map.queryRenderedFeatures(point, { layers: ["cell-fill"] })[0]?.properties;
    if (!found) return null;
    return { cell: String(found.cell), count: Number(found.count), speed: (found.speed as number | undefined) ?? null };
  }

  select(id: string | null): void {
    this.#layer.selected = id === null ? null : this.fleet.rowOf(id);
    this.map.triggerRepaint();
  }

  /** Bring a vehicle into view; `follow` keeps it in the middle. */
  show(id: string, follow: boolean): void {
    const row = this.fleet.rowOf(id);
    if (row === null) return;
    const at = this.fleet.drawn(row);
    const center: [number, number] = [toLongitude(at.x), toLatitude(at.y)];
    if (follow) this.map.setCenter(center);
    else this.map.easeTo({ center, zoom: Math.max(this.map.getZoom(), 10.5) });
  }

  home(): void {
    this.map.fitBounds(HOME, { padding: 30 });
  }

  showPlaces(places: Places["places"]): void {
    this.#places = places;
    if (!this.#ready) return;
    this.#set(
      INCIDENTS,
      places.emergency.map((i: Incident) => point(i, { id: i.place, open: isOpen(i), type: i.type ?? "" })),
    );
    this.#set(
      CAMERAS,
      places.traffic.map((c: Camera) => point(c, { id: c.place })),
    );
    this.#set(
      STATIONS,
      places.weather.map((s: Station) => point(s, { label: stationLabel(s) })),
    );
  }

  /** Where the picked vehicle was; what is not joined is drawn apart. */
  showTrail(lines: readonly (readonly [number, number])[][]): void {
    this.#trail = lines;
    if (!this.#ready) return;
    const coordinates = lines.map((line) => line.map(([longitude, latitude]) => [longitude, latitude]));
    this.#set(TRAIL, [{ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates } }]);
  }

  /** A ring around the camera or incident that is picked. */
  showPicked(place: { latitude: number; longitude: number } | null): void {
    this.#picked = place;
    if (this.#ready) this.#set(PICKED, place ? [point(place, {})] : []);
  }

  /** Bring a place into view, near enough to see what is around. */
  goTo(place: { latitude: number; longitude: number }): void {
    this.map.easeTo({ center: [place.longitude, place.latitude], zoom: Math.max(this.map.getZoom(), 11) });
  }

  #set(source: string, features: (GeoJSON.Feature | null)[]): void {
    const kept = features.filter((f) => f !== null);
    this.map.getSource<GeoJSONSource>(source)?.setData({ type: "FeatureCollection", features: kept });
  }

  remove(): void {
    clearTimeout(this.#retry);
    this.#tool.remove();
    this.map.remove();
  }
}

function point(
  place: { latitude?: number | null; longitude?: number | null },
  properties: GeoJSON.GeoJsonProperties,
): GeoJSON.Feature | null {
  if (typeof place.latitude !== "number" || typeof place.longitude !== "number") return null;
  return { type: "Feature", properties, geometry: { type: "Point", coordinates: [place.longitude, place.latitude] } };
}

function stationLabel(station: Station): string {
  const temperature = typeof station.temperature_c === "number" ? `${Math.round(station.temperature_c)}°` : "";
  return [temperature, station.weather_condition ?? ""].filter(Boolean).join(" ");
}
