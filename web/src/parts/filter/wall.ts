// Receives times of day as a form writes them; gives moments, and back. Pure.

import { ahead, type Zone } from "../../format";

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
