// Receives the fleet, places and choices; keeps one MapLibre map in step with them. The view moves by hand alone.

import "maplibre-gl/dist/maplibre-gl.css";
import {
  AttributionControl,
  addProtocol,
  type GeoJSONSource,
  Map as MapLibre,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { Protocol } from "pmtiles";
import { type Fleet, mercatorX, mercatorY, toLatitude, toLongitude } from "../state/fleet";
import type { Theme } from "../state/prefs.svelte";
import { isOpen } from "../wire/incident";
import type { Camera, Incident, Places, Station, VehicleCard } from "../wire/types";
import { ABOVE_VEHICLES, CAMERAS, INCIDENTS, mapPictures, mapStyle, STATIONS, TRAIL } from "./style";
import { VehicleLayer } from "./vehicles";

const PICK_PX = 14;
const PICK_MOST = 12;
const RETRY_MS = 5000;
const GAP_MS = 120_000; // no line across a longer silence
const HOME: [[number, number], [number, number]] = [
  [-2.15, 51.42],
  [0.2, 52.62],
];
setWorkerUrl(workerUrl);
addProtocol("pmtiles", new Protocol().tile);

export interface MapEvents {
  /** Vehicles under a click, nearest first; empty for a click beside them. */
  picked(ids: string[]): void;
  /** The user moved the map. */
  moved(): void;
}

export class CityMap {
  readonly map: MapLibre;
  #layer: VehicleLayer;
  #places: Places["places"] | null = null;
  #card: VehicleCard | null = null;
  #ready = false;
  #retry: ReturnType<typeof setTimeout> | undefined;

  constructor(
    container: HTMLElement,
    private readonly fleet: Fleet,
    theme: Theme,
    private readonly events: MapEvents,
  ) {
    this.#layer = new VehicleLayer(fleet, theme);
    this.map = new MapLibre({
      container,
      style: mapStyle(theme),
      bounds: HOME,
      fitBoundsOptions: { padding: 30 },
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
      this.showCard(this.#card);
    });
    this.map.on("click", (event) => {
      const x = mercatorX(event.lngLat.lng);
      const y = mercatorY(event.lngLat.lat);
      const radius = PICK_PX / (512 * 2 ** this.map.getZoom());
      const rows = fleet.near(x, y, radius, PICK_MOST);
      this.events.picked(rows.map((row) => fleet.vehicle(row)?.id).filter((id) => id !== undefined));
    });
    // a server that is away for a moment leaves holes in the basemap: ask again for what is missing
    this.map.on("error", () => {
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.map.getSource("gb") && this.map.refreshTiles("gb"), RETRY_MS);
    });
    this.map.on("dragstart", () => this.events.moved());
    this.map.on("mousemove", (event) => {
      const radius = PICK_PX / 2 / (512 * 2 ** this.map.getZoom());
      const hit = fleet.near(mercatorX(event.lngLat.lng), mercatorY(event.lngLat.lat), radius, 1).length > 0;
      this.map.getCanvas().style.cursor = hit ? "pointer" : "";
    });
  }

  setTheme(theme: Theme): void {
    this.#ready = false;
    this.#layer.setTheme(theme);
    this.map.setStyle(mapStyle(theme), { diff: false });
  }

  /** The fleet changed. */
  repaint(): void {
    this.map.triggerRepaint();
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
      places.emergency.map((i: Incident) => point(i, { open: isOpen(i), type: i.type ?? "" })),
    );
    this.#set(
      CAMERAS,
      places.traffic.map((c: Camera) => point(c, {})),
    );
    this.#set(
      STATIONS,
      places.weather.map((s: Station) => point(s, { label: stationLabel(s) })),
    );
  }

  showCard(card: VehicleCard | null): void {
    this.#card = card;
    if (!this.#ready) return;
    const lines: [number, number][][] = [];
    let last = 0;
    for (const [latitude, longitude, ms] of card?.trail ?? []) {
      if (lines.length === 0 || ms - last > GAP_MS) lines.push([]);
      lines.at(-1)?.push([longitude, latitude]);
      last = ms;
    }
    if (card && card.longitude !== null && card.latitude !== null) lines.at(-1)?.push([card.longitude, card.latitude]);
    this.#set(TRAIL, [{ type: "Feature", properties: {}, geometry: { type: "MultiLineString", coordinates: lines } }]);
  }

  #set(source: string, features: (GeoJSON.Feature | null)[]): void {
    const kept = features.filter((f) => f !== null);
    this.map.getSource<GeoJSONSource>(source)?.setData({ type: "FeatureCollection", features: kept });
  }

  remove(): void {
    clearTimeout(this.#retry);
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
