// Receives the page's address; gives what the viewer looks at, and back. Pure. What the address does not say is the
// default, what it says wrongly is left out, and parameters of others stay as they are.

import { type Area, isArea } from "../map/area";
import type { Layer } from "../map/cells";
import type { View as MapPlace } from "../map/map";

export type PageView = "city" | "explore" | "operations";
export const VIEWS: readonly PageView[] = ["city", "explore", "operations"];

export interface Pick {
  readonly kind: "vehicle" | "camera" | "incident";
  readonly id: string;
}

/** Everything that a link reopens. Times are ms since 1970. */
export interface Filter {
  readonly view: PageView;
  /** Both null: live, the last `lastMs`. */
  readonly from: number | null;
  readonly to: number | null;
  readonly lastMs: number;
  readonly area: Area | null;
  readonly stream: string | null;
  /** Column of a contract -> values, any of which fits. */
  readonly where: Readonly<Record<string, readonly string[]>>;
  /** An H3 cell. */
  readonly cell: string | null;
  /** Time machine: the moment that is shown; null: now. */
  readonly at: number | null;
  /** Time machine: seconds a second, 1 to 60; 0: it stands. */
  readonly speed: number;
  /** Where the map looks; null: it has not been moved. */
  readonly map: MapPlace | null;
  readonly layer: Layer;
  readonly pick: Pick | null;
}

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;
export const DEFAULT_LAST_MS = 15 * MINUTE_MS;
/** The server answers no longer range. */
export const LONGEST_MS = 366 * DAY_MS;
/** Live: a little less, as its end moves on while the question is on its way. */
const LONGEST_LAST_MS = 365 * DAY_MS;
export const FASTEST = 60;
const MOST_VALUES = 50;
const LONGEST_VALUE = 200;
const LATEST_MS = 32_503_680_000_000; // the year 3000
const NAMES = ["view", "from", "to", "last", "area", "stream", "where", "cell", "at", "speed", "map", "layer", "pick"];
const UNITS: readonly [string, number][] = [
  ["d", DAY_MS],
  ["h", HOUR_MS],
  ["m", MINUTE_MS],
  ["s", 1000],
];

export const NOTHING: Filter = {
  view: "city",
  from: null,
  to: null,
  lastMs: DEFAULT_LAST_MS,
  area: null,
  stream: null,
  where: {},
  cell: null,
  at: null,
  speed: 0,
  map: null,
  layer: "none",
  pick: null,
};

function numbers(text: string | null, count: number): number[] | null {
  const found = text?.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part))) ?? [];
  return found.length === count && found.every(Number.isFinite) ? found : null;
}

function time(text: string | null): number | null {
  return text !== null && /^\d{1,14}$/.test(text) && Number(text) <= LATEST_MS ? Number(text) : null;
}

function span(text: string | null): number | null {
  const [, amount, unit] = /^(\d{1,6})([dhms])$/.exec(text ?? "") ?? [];
  const ms = Number(amount) * (UNITS.find(([name]) => name === unit)?.[1] ?? Number.NaN);
  return ms > 0 && ms <= LONGEST_LAST_MS ? ms : null;
}

/** 900000 -> `15m`: the largest unit that leaves no fraction. */
export function written(ms: number): string {
  const [unit, of] = UNITS.find(([, length]) => ms % length === 0) ?? (["s", 1000] as const);
  return `${Math.round(ms / of)}${unit}`;
}

/** As the server takes a value: short, and letters that can be printed. */
function usable(value: string): boolean {
  return value !== "" && value.length <= LONGEST_VALUE && !/\p{C}/u.test(value);
}

function readWhere(texts: readonly string[]): Record<string, string[]> {
  const found: Record<string, string[]> = {};
  for (const text of texts.slice(0, MOST_VALUES)) {
    const colon = text.indexOf(":");
    const [column, value] = [text.slice(0, colon), text.slice(colon + 1)];
    if (colon < 1 || !/^[a-z][a-z0-9_]*$/.test(column) || !usable(value)) continue;
    const values = Object.hasOwn(found, column) ? (found[column] as string[]) : [];
    found[column] = values.includes(value) ? values : [...values, value];
  }
  return found;
}

function readPick(text: string | null): Pick | null {
  const [, kind, id] = /^(vehicle|camera|incident):(.+)$/su.exec(text ?? "") ?? [];
  return kind && id && usable(id) ? { kind: kind as Pick["kind"], id } : null;
}

/** What an address means; `search` is its part after the question mark. */
export function readAddress(search: string): Filter {
  const said = new URLSearchParams(search);
  const view = VIEWS.find((v) => v === said.get("view")) ?? NOTHING.view;
  let [from, to] = [time(said.get("from")), time(said.get("to"))];
  if (from === null || to === null || from >= to || to - from > LONGEST_MS) from = to = null;
  const area = numbers(said.get("area"), 4);
  const place = numbers(said.get("map"), 3);
  const stream = said.get("stream");
  const cell = said.get("cell");
  const layer = said.get("layer");
  const at = time(said.get("at"));
  const speed = Number(said.get("speed") ?? 0);
  return {
    view,
    from,
    to,
    lastMs: span(said.get("last")) ?? NOTHING.lastMs,
    area: area && isArea(area) ? area : null,
    stream: stream !== null && /^[a-z][a-z0-9_]{0,63}$/.test(stream) ? stream : null,
    where: readWhere(said.getAll("where")),
    cell: cell !== null && /^8[0-9a-f]{14}$/.test(cell) ? cell : null,
    at,
    speed: at !== null && Number.isFinite(speed) && speed > 0 && speed <= FASTEST ? speed : 0,
    map: place
      ? { latitude: place[0] as number, longitude: place[1] as number, zoom: place[2] as number }
      : NOTHING.map,
    layer: layer === "density" || layer === "speed" ? layer : NOTHING.layer,
    pick: readPick(said.get("pick")),
  };
}

/** The address of a filter, with the parameters of `search` that belong to others; without the question mark. */
export function writeAddress(search: string, filter: Filter): string {
  const said = new URLSearchParams(search);
  for (const name of NAMES) said.delete(name);
  const all = new URLSearchParams();
  const set = (name: string, value: string | number | null) => {
    if (value !== null && value !== "") all.append(name, String(value));
  };
  if (filter.view !== NOTHING.view) set("view", filter.view);
  if (filter.from !== null && filter.to !== null) {
    set("from", filter.from);
    set("to", filter.to);
  } else if (filter.lastMs !== NOTHING.lastMs) set("last", written(filter.lastMs));
  if (filter.area) set("area", filter.area.join(","));
  set("stream", filter.stream);
  for (const [column, values] of Object.entries(filter.where))
    for (const value of values) set("where", `${column}:${value}`);
  set("cell", filter.cell);
  set("at", filter.at === null ? null : Math.round(filter.at));
  if (filter.at !== null && filter.speed > 0) set("speed", filter.speed);
  if (filter.map) set("map", `${filter.map.latitude},${filter.map.longitude},${filter.map.zoom}`);
  if (filter.layer !== NOTHING.layer) set("layer", filter.layer);
  if (filter.pick) set("pick", `${filter.pick.kind}:${filter.pick.id}`);
  for (const [name, value] of said) all.append(name, value);
  return all.toString().replaceAll("%2C", ",").replaceAll("%3A", ":"); // neither needs to be hidden there
}

/** The filter as the REST routes take it. Live it has `from` alone, so that the server ends it now; `now` is the
 *  server's time. At a moment of the past the range ends there. */
export function restQuery(filter: Filter, now: number): URLSearchParams {
  const query = new URLSearchParams();
  const second = (ms: number) => Math.floor(ms / 1000) * 1000;
  const span = filter.from !== null && filter.to !== null ? filter.to - filter.from : filter.lastMs;
  if (filter.at !== null) {
    const to = Math.max(1, Math.round(filter.at));
    const from = filter.from !== null && filter.from < to && to - filter.from <= LONGEST_MS ? filter.from : to - span;
    query.set("from", String(Math.max(0, from)));
    query.set("to", String(to));
  } else if (filter.from !== null && filter.to !== null) {
    query.set("from", String(filter.from));
    query.set("to", String(filter.to));
  } else {
    query.set("from", String(Math.max(0, second(now - filter.lastMs)))); // equal for all viewers of this second
  }
  if (filter.area) query.set("area", filter.area.join(","));
  if (filter.cell) query.set("cell", filter.cell);
  if (filter.stream) query.set("stream", filter.stream);
  for (const [column, values] of Object.entries(filter.where))
    for (const value of values) query.append("where", `${column}:${value}`);
  return query;
}

/** The filter with a value of a column added, or taken away where it is there. */
export function toggled(where: Filter["where"], column: string, value: string): Filter["where"] {
  const before = where[column] ?? [];
  const after = before.includes(value) ? before.filter((v) => v !== value) : [...before, value];
  const { [column]: _, ...others } = where;
  return after.length ? { ...others, [column]: after } : others;
}

/** Whether anything but the time range leaves rows out. */
export function narrows(filter: Filter): boolean {
  return filter.area !== null || filter.stream !== null || filter.cell !== null || Object.keys(filter.where).length > 0;
}
