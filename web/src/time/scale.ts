// Receives what the lake holds and the moment shown; gives the time bar its ends, and text its moment. Pure.

import { ahead, type Zone } from "../format";

export const MINUTE_MS = 60_000;
/** Lengths of the bar; 0 is all that the lake holds. */
export const SPANS = [
  15 * MINUTE_MS,
  60 * MINUTE_MS,
  6 * 60 * MINUTE_MS,
  24 * 60 * MINUTE_MS,
  7 * 24 * 60 * MINUTE_MS,
  0,
];

export interface Extent {
  readonly first_ms: number | null;
  readonly last_ms: number | null;
  readonly rows: number;
}

/** First and last event time of all streams, none of it after `now`; null when the lake holds nothing. */
export function held(streams: Readonly<Record<string, Extent>>, now: number): { first: number; last: number } | null {
  let [first, last] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const one of Object.values(streams)) {
    if (one.first_ms === null || one.last_ms === null) continue;
    first = Math.min(first, one.first_ms);
    last = Math.max(last, one.last_ms);
  }
  return first <= Math.min(last, now) ? { first, last: Math.min(last, now) } : null;
}

/** The shortest span that holds everything, an hour at most: long ones make a bar too coarse for a minute. */
export function firstSpan(known: { first: number } | null, now: number): number {
  return known && now - known.first > 15 * MINUTE_MS ? 60 * MINUTE_MS : (SPANS[0] as number);
}

/** The ends of the bar: up to now, or, where the moment lies before that, around it. */
export function ends(
  span: number,
  known: { first: number } | null,
  at: number | null,
  now: number,
): { from: number; to: number } {
  if (span === 0) {
    const from = Math.min(known?.first ?? now, at ?? now, now - MINUTE_MS);
    return { from: Math.floor(from / 1000) * 1000, to: now };
  }
  if (at === null || at >= now - span) return { from: now - span, to: now };
  // halves of the span, so that the bar stands still while time plays
  const half = span / 2;
  const from = Math.floor(at / half) * half - half / 2;
  return { from, to: Math.min(now, from + span) };
}

/** `2026-11-24T14:32:10` in a zone -> ms since 1970; null when it is no time. An hour that a clock shows twice is its
 *  first, one that it leaves out the next. */
export function parseLocal(text: string, zone: Zone): number | null {
  const [, y, mo, d, h, mi, s] = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d))?/.exec(text) ?? [];
  if (y === undefined) return null;
  const utc = Date.UTC(Number(y), Number(mo) - 1, Number(d), Number(h), Number(mi), Number(s ?? 0));
  if (Number.isNaN(utc)) return null;
  const before = utc - ahead(utc - 12 * 3_600_000, zone);
  return ahead(before, zone) === utc - before ? before : utc - ahead(before, zone);
}

/** As an input of type datetime-local takes it. */
export function writeLocal(ms: number, zone: Zone): string {
  return new Date(ms + ahead(ms, zone)).toISOString().slice(0, 19);
}
