// Receives a vehicle's reports; gives its card the line on the map, the speeds over time and the last events. Pure.

import type { Column, Row } from "../charts/shape";
import type { Track } from "./ask";

/** No line is drawn across a longer silence. */
export const GAP_MS = 60_000;
/** Nor across a way that no car drives in that time. */
export const FASTEST_KMH = 300;
/** A jump shorter than this is the noise of two receivers. */
export const NOISE_M = 150;

const M_PER_DEGREE = 111_195;

export interface Point {
  readonly ms: number;
  readonly latitude: number;
  readonly longitude: number;
}

export interface Event extends Omit<Point, "latitude" | "longitude"> {
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly speed: number | null;
  readonly heading: number | null;
  readonly stream: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Metres between two points that are near each other. */
export function metres(a: Point, b: Point): number {
  const east = (b.longitude - a.longitude) * Math.cos((a.latitude * Math.PI) / 180);
  return Math.hypot(east, b.latitude - a.latitude) * M_PER_DEGREE;
}

/** True where no line may join the two: a silence, or a jump. */
export function apart(a: Point, b: Point): boolean {
  if (b.ms - a.ms > GAP_MS) return true;
  const way = metres(a, b);
  return way > NOISE_M && way / Math.max(1, (b.ms - a.ms) / 1000) > FASTEST_KMH / 3.6;
}

/** The points with a position up to a moment, oldest first. */
export function points(track: Track, until: number): Point[] {
  const found: Point[] = [];
  track.event_ms.forEach((ms, i) => {
    const [latitude, longitude] = [track.latitude[i] ?? null, track.longitude[i] ?? null];
    if (ms <= until && latitude !== null && longitude !== null) found.push({ ms, latitude, longitude });
  });
  return found;
}

/** Points as lines of [longitude, latitude], a new line after every gap and jump. */
export function trail(way: readonly Point[]): [number, number][][] {
  const lines: [number, number][][] = [];
  let last: Point | null = null;
  for (const point of way) {
    if (last === null || apart(last, point)) lines.push([]);
    lines.at(-1)?.push([point.longitude, point.latitude]);
    last = point;
  }
  return lines;
}

/** Speeds over time as a chart's rows; a row without a speed stands in every gap, so that no line crosses it. */
export function speeds(track: Track, until: number): { columns: Column[]; rows: Row[] } {
  const rows: [number, number | null][] = [];
  let last: number | null = null;
  track.event_ms.forEach((ms, i) => {
    const speed = track.speed_kmh[i] ?? null;
    if (ms > until || speed === null || ms === last) return;
    if (last !== null && ms - last > GAP_MS) rows.push([last + 1000, null]);
    rows.push([ms, speed]);
    last = ms;
  });
  return {
    columns: [
      { name: "time", type: "timestamp" },
      { name: "km/h", type: "double" },
    ],
    rows,
  };
}

/** The newest `limit` reports up to a moment, newest first. */
export function events(track: Track, until: number, limit: number): Event[] {
  const found: Event[] = [];
  for (let i = track.event_ms.length - 1; i >= 0 && found.length < limit; i--) {
    const ms = track.event_ms[i] as number;
    if (ms > until) continue;
    found.push({
      ms,
      latitude: track.latitude[i] ?? null,
      longitude: track.longitude[i] ?? null,
      speed: track.speed_kmh[i] ?? null,
      heading: track.heading_deg[i] ?? null,
      stream: track.stream[i] as string,
      topic: track.topic[i] as string,
      partition: track.partition[i] as number,
      offset: track.offset[i] as number,
    });
  }
  return found;
}
