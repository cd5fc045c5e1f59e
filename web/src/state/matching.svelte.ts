// Receives the filter; gives the map and the lists which vehicles and places it lets through. What a vehicle's frame does
// not tell (its make, its road, its cell) the lake is asked for again and again.

import { EMERGENCY_COLUMNS, GPS_COLUMNS, TRAFFIC_COLUMNS, VEHICLE_COLUMNS, WEATHER_COLUMNS } from "../contracts";
import { decode } from "../wire/frame";
import type { Places } from "../wire/types";
import { type Filter, restQuery } from "./address";
import { filter } from "./filter.svelte";
import { Asked } from "./history.svelte";

type Matches = (id: string, type: string) => boolean;
const MOVING = ["vehicle", "gps"];
const TOLD = ["vehicle_id", "vehicle_type"]; // of every vehicle that the page knows
const SEEN_S = 600; // a vehicle's last row in the lake may be so old

const COLUMNS: Readonly<Record<string, readonly { readonly name: string }[]>> = {
  gps: GPS_COLUMNS,
  vehicle: VEHICLE_COLUMNS,
  traffic: TRAFFIC_COLUMNS,
  weather: WEATHER_COLUMNS,
  emergency: EMERGENCY_COLUMNS,
};

/** Whether rows of that stream have what the filter asks about. */
export function speaks(of: Filter, stream: string): boolean {
  if (of.stream !== null && of.stream !== stream) return false;
  return Object.keys(of.where).every((column) => COLUMNS[stream]?.some((c) => c.name === column) ?? true);
}

/** The stream whose rows the map's cells count. */
export function counted(of: Filter): string {
  return of.stream ?? Object.keys(COLUMNS).find((stream) => speaks(of, stream)) ?? "gps";
}

/** Whether the filter asks for more than frames tell. */
export function asksLake(of: Filter): boolean {
  if (of.at !== null || (of.stream !== null && !MOVING.includes(of.stream))) return false;
  return of.cell !== null || of.stream !== null || Object.keys(of.where).some((column) => !TOLD.includes(column));
}

/** Which vehicles the filter lets through besides its area; undefined: all. `members`: those that the lake names, null
 *  before it has answered. Frames of the past hold no others. */
export function matcher(of: Filter, members: ReadonlySet<string> | null): Matches | undefined {
  if (of.at !== null) return undefined;
  if (of.stream !== null && !MOVING.includes(of.stream)) return () => false;
  const ids = of.where.vehicle_id ? new Set(of.where.vehicle_id) : null;
  const types = of.where.vehicle_type ? new Set(of.where.vehicle_type) : null;
  const named = asksLake(of) ? members : null;
  if (!ids && !types && !named) return undefined;
  return (id, type) => (!ids || ids.has(id)) && (!types || types.has(type)) && (!named || named.has(id));
}

/** The incidents, cameras and stations that the filter lets through. */
export function placesShown(places: Places["places"], of: Filter): Places["places"] {
  const wanted = Object.entries(of.where);
  if (!of.area && !of.stream && wanted.length === 0) return places;
  const fits = (stream: string) => (place: object) => {
    const row = place as Readonly<Record<string, unknown>>;
    if (of.stream !== null && of.stream !== stream) return false;
    if (of.area) {
      const [w, s, e, n] = of.area;
      const [lat, lon] = [row.latitude, row.longitude];
      if (typeof lat !== "number" || typeof lon !== "number" || lon < w || lon > e || lat < s || lat > n) return false;
    }
    return wanted.every(([column, values]) => values.includes(String(row[column])));
  };
  return {
    emergency: places.emergency.filter(fits("emergency")),
    traffic: places.traffic.filter(fits("traffic")),
    weather: places.weather.filter(fits("weather")),
  };
}

/** Asks the lake for the vehicles that match, for as long as the filter needs it to. */
export class Members {
  #asked = new Asked<ReadonlySet<string>>(async (answer): Promise<ReadonlySet<string>> => {
    const ids = new Set(decode(await answer.arrayBuffer()).names.map(([, id]) => id));
    const before = this.#last;
    if (before.size !== ids.size || ![...ids].every((id) => before.has(id))) this.#last = ids;
    return this.#last; // the same set while nothing changes: nobody sorts the fleet anew
  });
  #last: ReadonlySet<string> = new Set();

  get ids(): ReadonlySet<string> | null {
    return this.#asked.outdated ? null : this.#asked.body;
  }

  follow(of: Filter): void {
    if (!asksLake(of)) {
      this.stop();
      return;
    }
    const query = restQuery(of, 0);
    query.delete("from");
    const at = () => Math.floor(filter.now() / 1000) * 1000;
    this.#asked.follow({
      key: `members ${query}`,
      url: () => `/api/frame?at=${at()}&seconds=${SEEN_S}&${query}`,
      again: true,
    });
  }

  stop(): void {
    this.#asked.stop();
  }
}
