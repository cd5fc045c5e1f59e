// Receives numbers and times; gives them as a person reads them. What is not known is a dash, never a zero.

import { text } from "./text";

export type Zone = "utc" | "london";

const whole = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en-GB", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? text.unknown : whole.format(value);
}

/** Few digits for a tile: 12,345 as it is, 1.23 M beyond ten million. */
export function brief(value: number | null | undefined): string {
  if (value === null || value === undefined) return text.unknown;
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} bn`;
  if (value >= 1e7) return `${(value / 1e6).toFixed(1)} M`;
  return whole.format(value);
}

export function rate(value: number | null | undefined): string {
  if (value === null || value === undefined) return text.unknown;
  return value < 10 ? tenths.format(value) : whole.format(value);
}

/** A length of time in seconds, in the unit that fits. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined || Number.isNaN(seconds)) return text.unknown;
  const s = Math.max(0, seconds);
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 120) return `${Math.round(s)} s`;
  if (s < 7200) return `${Math.round(s / 60)} min`;
  if (s < 172_800) return `${Math.round(s / 3600)} h`;
  return `${whole.format(Math.round(s / 86_400))} d`;
}

const zones: Record<Zone, string> = { utc: "UTC", london: "Europe/London" };

/** The IANA name of a zone. */
export const zoneName = (zone: Zone): string => zones[zone];

/** How far the zone's clock is ahead of UTC at a moment, ms. */
export function ahead(ms: number, zone: Zone): number {
  if (zone === "utc") return 0;
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zones[zone],
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(ms);
  const of = (type: string) => Number(parts.find((p) => p.type === type)?.value);
  const local = Date.UTC(of("year"), of("month") - 1, of("day"), of("hour"), of("minute"), of("second"));
  return local - Math.floor(ms / 1000) * 1000;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(zone: Zone, date: boolean): Intl.DateTimeFormat {
  const key = `${zone}${date}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat("en-GB", {
      timeZone: zones[zone],
      hour: "2-digit",
      minute: "2-digit",
      second: "2-digit",
      ...(date ? { day: "2-digit", month: "short", year: "numeric" } : {}),
    });
    formats.set(key, found);
  }
  return found;
}

/** A time of day; with the date where that is not today. */
export function moment(ms: number | null | undefined, zone: Zone, now: number = Date.now()): string {
  if (ms === null || ms === undefined || ms <= 0) return text.unknown;
  return format(zone, Math.abs(now - ms) > 12 * 3_600_000).format(ms);
}

const POINTS = ["N", "NE", "E", "SE", "S", "SW", "W", "NW"];

export function compass(degrees: number | null): string {
  return degrees === null ? text.unknown : (POINTS[Math.round(degrees / 45) % 8] as string);
}
