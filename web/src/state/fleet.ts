// Receives frames; gives the map and the fleet list the vehicles in flat columns, each moving between its reports.
//
// A vehicle keeps its row for as long as the page knows it, also over a reconnect to a server that gave it another slot.

import type { Area } from "../map/area";
import { kindOf } from "../map/kinds";
import { type Frame, UNKNOWN } from "../wire/frame";

/** Floats of one vehicle in `rows`, as the map's shader reads them. Times are seconds since `EPOCH`. */
export const STRIDE = 10;
export const FROM_X = 0;
export const FROM_Y = 1;
export const TO_X = 2;
export const TO_Y = 3;
export const START = 4;
export const DURATION = 5;
export const SPEED = 6; // km/h, -1 unknown
export const HEADING = 7; // degrees clockwise from north, -1 unknown
export const SEEN = 8; // last arrival; -1 marks a row without a vehicle
export const KIND = 9; // number of its kind (map/kinds.ts), -1 when the filter leaves it out

/** Rows are told as changed in blocks of this many. */
export const BLOCK = 64;
const FULL_SHARE = 0.5; // with more blocks changed than this share, one range of all is cheaper
const DELAYS = 4096;
const DELAYS_A_FRAME = 64;

/** Mercator coordinates are kept relative to this point, so that 32-bit floats place a car to the decimetre. */
export const ORIGIN_X = 0.495;
export const ORIGIN_Y = 0.332;

const JUMP = 0.0005; // about 12 km at 52° north: no car drives that between two reports
const LONGEST_MOVE_S = 12;
const KEPT_AFTER_RECONNECT_S = 60;
const MOVES_KMH = 2;

export const EPOCH = Date.now();

/** Seconds since EPOCH on this page's clock. */
export const clock = (): number => (Date.now() - EPOCH) / 1000;

export function mercatorX(longitude: number): number {
  return (longitude + 180) / 360;
}

export function mercatorY(latitude: number): number {
  const s = Math.sin((latitude * Math.PI) / 180);
  return 0.5 - Math.log((1 + s) / (1 - s)) / (4 * Math.PI);
}

export function toLongitude(x: number): number {
  return x * 360 - 180;
}

export function toLatitude(y: number): number {
  return (Math.atan(Math.sinh(Math.PI * (1 - 2 * y))) * 180) / Math.PI;
}

export interface Vehicle {
  readonly row: number;
  readonly id: string;
  readonly type: string;
  readonly latitude: number;
  readonly longitude: number;
  readonly speed: number | null;
  readonly heading: number | null;
  /** ms since 1970, by this page's clock. */
  readonly seen: number;
  /** The device's own time, ms since 1970. */
  readonly event: number;
}

/** Which vehicles the map and the list show; the others are known and hidden. */
export interface FleetFilter {
  readonly area?: Area | null;
  matches?(id: string, type: string): boolean;
}

/** What time it is for a fleet: that of this page, or a moment of the past that stands or plays. */
export interface FleetTime {
  /** ms since 1970 at 0 s. */
  readonly epoch: number;
  /** Seconds since then. */
  now(): number;
}

export class Fleet {
  rows = new Float32Array(1024 * STRIDE).fill(-1);
  /** Rows in use or free, from 0; the map draws this many. */
  length = 0;
  /** Grows with every change. */
  version = 0;
  /** Until when something moves, seconds since EPOCH. */
  movingUntil = 0;
  /** 0 draws every report where it is, at once. */
  smooth = true;
  /** A vehicle takes this long at most from one report to the next, seconds. */
  longestMove = LONGEST_MOVE_S;
  /** How long a vehicle that a whole frame does not name stays, seconds since it was heard. */
  keptAfterWhole = KEPT_AFTER_RECONNECT_S;

  #ids: string[] = [];
  #types: string[] = [];
  #events = new Float64Array(1024);
  #row = new Map<string, number>();
  #bySlot = new Map<number, number>();
  #free: number[] = [];
  /** Server clock minus page clock, ms. */
  #skew = 0;
  #dirty = new Uint8Array(1024 / BLOCK);
  #filter: FleetFilter | null = null;
  #waiting: { at: number; silent: Uint32Array }[] = [];
  #drawing: { at: number; silent: Uint32Array }[] = [];
  #delays = new Float32Array(DELAYS);
  #delayed = 0;

  constructor(readonly time: FleetTime = { epoch: EPOCH, now: clock }) {}

  get size(): number {
    return this.#row.size;
  }

  /** Show only what the filter lets through; null shows all. */
  setFilter(filter: FleetFilter | null): void {
    this.#filter = filter;
    for (const [id, row] of this.#row) this.#classify(row, id);
    this.version++;
  }

  #classify(row: number, id: string): void {
    const at = row * STRIDE;
    const type = this.#types[row] ?? "";
    const filter = this.#filter;
    let shown = !filter?.matches || filter.matches(id, type);
    if (shown && filter?.area) {
      const [w, s, e, n] = filter.area;
      const x = (this.rows[at + TO_X] as number) + ORIGIN_X;
      const y = (this.rows[at + TO_Y] as number) + ORIGIN_Y;
      shown = x >= mercatorX(w) && x <= mercatorX(e) && y <= mercatorY(s) && y >= mercatorY(n);
    }
    const kind = shown ? kindOf(type) : -1;
    if (this.rows[at + KIND] === kind) return;
    this.rows[at + KIND] = kind;
    this.#dirty[(row / BLOCK) | 0] = 1;
  }

  /** Ranges of rows [from, to) that changed since the last call. One caller only: the layer that draws them. */
  takeChanged(): [from: number, to: number][] {
    const ranges: [number, number][] = [];
    const blocks = Math.ceil(this.length / BLOCK);
    let changed = 0;
    for (let block = 0; block < blocks; block++) {
      if (!this.#dirty[block]) continue;
      changed++;
      const last = ranges.at(-1);
      if (last && last[1] === block * BLOCK) last[1] += BLOCK;
      else ranges.push([block * BLOCK, (block + 1) * BLOCK]);
    }
    this.#dirty.fill(0);
    const first = ranges[0];
    const last = ranges.at(-1);
    if (!first || !last) return [];
    last[1] = Math.min(last[1], this.length);
    return changed > blocks * FULL_SHARE ? [[first[0], last[1]]] : ranges;
  }

  /** What was applied so far is being drawn. */
  takeDrawn(): void {
    this.#drawing.push(...this.#waiting);
    this.#waiting = [];
  }

  /** What was being drawn is on the screen now. */
  shownNow(): void {
    const now = Date.now();
    for (const { at, silent } of this.#drawing) {
      const step = Math.max(1, Math.floor(silent.length / DELAYS_A_FRAME));
      for (let i = 0; i < silent.length; i += step) {
        this.#delays[this.#delayed++ % DELAYS] = now - at + (silent[i] as number);
      }
    }
    this.#drawing = [];
  }

  /** Milliseconds from a report's arrival at Kafka to its drawing, at a share (0.95) of the last few thousand, by the
   * two machines' clocks; null before any. */
  drawDelay(share: number): number | null {
    const count = Math.min(this.#delayed, DELAYS);
    if (!count) return null;
    return this.#delays.slice(0, count).sort()[Math.min(count - 1, Math.floor(count * share))] as number;
  }

  apply(frame: Frame): void {
    const now = this.time.now();
    this.#skew = frame.at - Date.now();
    if (frame.whole) this.#bySlot.clear();
    else this.#waiting.push({ at: frame.at, silent: frame.silent });
    if (this.#waiting.length > DELAYS_A_FRAME) this.#waiting = []; // nobody draws: the page is hidden
    for (const slot of frame.gone) {
      const row = this.#bySlot.get(slot);
      this.#bySlot.delete(slot);
      if (row !== undefined) this.#remove(row);
    }
    for (const [slot, id, type] of frame.names) {
      const row = this.#row.get(id) ?? this.#add(id);
      this.#types[row] = type;
      this.#bySlot.set(slot, row);
      this.#classify(row, id);
    }
    const rows = this.rows;
    for (let i = 0; i < frame.count; i++) {
      const row = this.#bySlot.get(frame.slot[i] as number);
      if (row === undefined) continue;
      const at = row * STRIDE;
      const x = mercatorX((frame.longitude[i] as number) / 1e6) - ORIGIN_X;
      const y = mercatorY((frame.latitude[i] as number) / 1e6) - ORIGIN_Y;
      const seen = now - (frame.silent[i] as number) / 1000;
      const before = rows[at + SEEN] as number;
      const known = before !== -1;
      const gap = seen - before;
      const share = this.#share(at, now);
      const fromX = (rows[at + FROM_X] as number) * (1 - share) + (rows[at + TO_X] as number) * share;
      const fromY = (rows[at + FROM_Y] as number) * (1 - share) + (rows[at + TO_Y] as number) * share;
      const far = Math.abs(fromX - x) > JUMP || Math.abs(fromY - y) > JUMP;
      const move = this.smooth && known && !far && gap > 0.05 ? Math.min(gap * 1.05, this.longestMove) : 0;
      rows[at + FROM_X] = move ? fromX : x;
      rows[at + FROM_Y] = move ? fromY : y;
      rows[at + TO_X] = x;
      rows[at + TO_Y] = y;
      rows[at + START] = now;
      rows[at + DURATION] = move;
      const speed = frame.speed[i] as number;
      const heading = frame.heading[i] as number;
      rows[at + SPEED] = speed === UNKNOWN ? -1 : speed / 10;
      rows[at + HEADING] = heading === UNKNOWN ? -1 : heading / 10;
      rows[at + SEEN] = seen === -1 ? -0.999 : seen;
      this.#events[row] = (frame.event[i] as number) * 1000;
      this.movingUntil = Math.max(this.movingUntil, now + move);
      this.#dirty[(row / BLOCK) | 0] = 1;
      if (this.#filter?.area) this.#classify(row, this.#ids[row] as string);
    }
    if (frame.whole) this.#forget(now);
    this.version++;
  }

  /** After a reconnect: vehicles that the server does not know (yet) stay for a while, fading. */
  #forget(now: number): void {
    const told = new Set(this.#bySlot.values());
    for (const row of [...this.#row.values()]) {
      const seen = this.rows[row * STRIDE + SEEN] as number;
      if (!told.has(row) && now - seen > this.keptAfterWhole) this.#remove(row);
    }
  }

  #share(at: number, now: number): number {
    const duration = this.rows[at + DURATION] as number;
    return duration > 0 ? Math.min(1, Math.max(0, (now - (this.rows[at + START] as number)) / duration)) : 1;
  }

  #add(id: string): number {
    const row = this.#free.pop() ?? this.length++;
    if ((row + 1) * STRIDE > this.rows.length) {
      const wider = new Float32Array(this.rows.length * 2).fill(-1);
      wider.set(this.rows);
      this.rows = wider;
      const events = new Float64Array(this.#events.length * 2);
      events.set(this.#events);
      this.#events = events;
      const dirty = new Uint8Array(Math.ceil(wider.length / STRIDE / BLOCK));
      dirty.set(this.#dirty);
      this.#dirty = dirty;
    }
    this.#ids[row] = id;
    this.#row.set(id, row);
    return row;
  }

  #remove(row: number): void {
    this.#row.delete(this.#ids[row] as string);
    this.rows.fill(-1, row * STRIDE, (row + 1) * STRIDE);
    this.#dirty[(row / BLOCK) | 0] = 1;
    this.#free.push(row);
  }

  rowOf(id: string): number | null {
    return this.#row.get(id) ?? null;
  }

  /** Where a row is drawn now, in mercator 0..1. */
  drawn(row: number): { x: number; y: number } {
    const at = row * STRIDE;
    const share = this.#share(at, this.time.now());
    const mix = (from: number, to: number) =>
      (this.rows[at + from] as number) * (1 - share) + (this.rows[at + to] as number) * share;
    return { x: mix(FROM_X, TO_X) + ORIGIN_X, y: mix(FROM_Y, TO_Y) + ORIGIN_Y };
  }

  vehicle(row: number): Vehicle | null {
    const at = row * STRIDE;
    if (this.rows[at + SEEN] === -1) return null;
    const speed = this.rows[at + SPEED] as number;
    const heading = this.rows[at + HEADING] as number;
    return {
      row,
      id: this.#ids[row] as string,
      type: this.#types[row] ?? "",
      latitude: toLatitude((this.rows[at + TO_Y] as number) + ORIGIN_Y),
      longitude: toLongitude((this.rows[at + TO_X] as number) + ORIGIN_X),
      speed: speed < 0 ? null : speed,
      heading: heading < 0 ? null : heading,
      seen: this.time.epoch + (this.rows[at + SEEN] as number) * 1000,
      event: this.#events[row] as number,
    };
  }

  find(id: string): Vehicle | null {
    const row = this.#row.get(id);
    return row === undefined ? null : this.vehicle(row);
  }

  /** The vehicles that the filter lets through. */
  all(): Vehicle[] {
    const out: Vehicle[] = [];
    for (const row of this.#row.values()) {
      if (this.rows[row * STRIDE + KIND] === -1) continue;
      const vehicle = this.vehicle(row);
      if (vehicle) out.push(vehicle);
    }
    return out;
  }

  /** Of all vehicles, whatever the filter: how many there are, were heard within `silent` seconds, moved, how fast. */
  tally(silent: number): { total: number; heard: number; moving: number; mean: number | null } {
    const now = this.time.now();
    let [heard, moving, sum] = [0, 0, 0];
    for (const row of this.#row.values()) {
      if (this.rows[row * STRIDE + KIND] === -1) continue;
      if (now - (this.rows[row * STRIDE + SEEN] as number) > silent) continue;
      heard++;
      const speed = this.rows[row * STRIDE + SPEED] as number;
      if (speed < MOVES_KMH) continue;
      moving++;
      sum += speed;
    }
    return { total: this.#row.size, heard, moving, mean: moving ? sum / moving : null };
  }

  /** Rows drawn within `radius` (mercator units) of a point, nearest first, at most `limit`, and how many there are. */
  near(x: number, y: number, radius: number, limit: number): { rows: number[]; count: number } {
    const found: [distance: number, row: number][] = [];
    const { rows, length } = this;
    const now = this.time.now();
    for (let row = 0, at = 0; row < length; row++, at += STRIDE) {
      if (rows[at + SEEN] === -1 || rows[at + KIND] === -1) continue;
      const toX = rows[at + TO_X] as number;
      const toY = rows[at + TO_Y] as number;
      const fromX = rows[at + FROM_X] as number;
      const fromY = rows[at + FROM_Y] as number;
      const reach = radius + Math.abs(toX - fromX) + Math.abs(toY - fromY);
      if (Math.abs(toX + ORIGIN_X - x) > reach || Math.abs(toY + ORIGIN_Y - y) > reach) continue;
      const share = this.#share(at, now);
      const distance = Math.hypot(
        fromX * (1 - share) + toX * share + ORIGIN_X - x,
        fromY * (1 - share) + toY * share + ORIGIN_Y - y,
      );
      if (distance <= radius) found.push([distance, row]);
    }
    found.sort((a, b) => a[0] - b[0]);
    return { rows: found.slice(0, limit).map(([, row]) => row), count: found.length };
  }

  /** Page clock -> server clock, ms. */
  get skew(): number {
    return this.#skew;
  }
}
