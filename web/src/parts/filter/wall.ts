// Receives times of day as a form writes them; gives moments, and back. Pure.

import { type Zone, zoneName } from "../../format";

const MINUTE = 60_000;

/** How far the zone's clock is ahead of UTC at a moment, ms. */
function ahead(ms: number, zone: Zone): number {
  if (zone === "utc") return 0;
  const parts = new Intl.DateTimeFormat("en-GB", {
    timeZone: zoneName(zone),
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  }).formatToParts(ms);
  const of = (type: string) => parts.find((p) => p.type === type)?.value ?? "";
  const wall = Date.parse(`${of("year")}-${of("month")}-${of("day")}T${of("hour")}:${of("minute")}:00Z`);
  return wall - Math.floor(ms / MINUTE) * MINUTE;
}

/** `2026-11-24T18:05`, as the zone's clock shows it. */
export function toWall(ms: number, zone: Zone): string {
  return new Date(ms + ahead(ms, zone)).toISOString().slice(0, 16);
}

/** The moment; null when that is no time. Of an hour that the clock shows twice, the second. */
export function fromWall(wall: string, zone: Zone): number | null {
  const as = Date.parse(`${wall.slice(0, 16)}:00Z`);
  if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d/.test(wall) || Number.isNaN(as)) return null;
  const guess = as - ahead(as, zone);
  return as - ahead(guess, zone);
}
