// Receives a tile, its answer and what the link says of its streams; gives the one state that the tile shows, and how
// complete its rows are. Pure.

import type { Fault } from "../state/history.svelte";
import type { StreamStatus } from "../wire/types";

export type TileKind = "kpi" | "bars" | "pie" | "line" | "histogram" | "table";

/** A tile as `/api/tiles` lists it. */
export interface Tile {
  readonly id: string;
  readonly title: string;
  readonly kind: TileKind;
  readonly stream: readonly string[];
  readonly unit: string | null;
  readonly by: string | null;
  readonly x: string | null;
  readonly y: string | null;
  readonly series: string | null;
  readonly layout: { readonly w: number; readonly h: number };
}

export interface TileList {
  readonly tiles: readonly Tile[];
  readonly problems: readonly string[];
}

/** What `/api/tiles/{id}` answers. Times are ms since 1970. */
export interface TileAnswer {
  readonly columns: readonly { readonly name: string; readonly type: string; readonly unit: string | null }[];
  readonly rows: readonly (readonly unknown[])[];
  readonly cut: boolean;
  readonly as_of_ms: number | null;
  readonly committed_ms: number | null;
  readonly rows_seen: number;
  readonly late: number | null;
  readonly seconds: number;
  /** Streams of the tile that have what the filter asks about. */
  readonly streams: readonly string[];
  readonly applies: boolean;
}

export type TileState =
  | "live"
  | "quiet"
  | "past"
  | "loading"
  | "updating"
  | "delayed"
  | "disconnected"
  | "failed"
  | "empty"
  | "absent";

export interface Known {
  readonly body: TileAnswer | null;
  readonly outdated: boolean;
  readonly fault: Fault | null;
  /** When the body was read. */
  readonly readAt: number | null;
  readonly connected: boolean;
  /** The range ends now. */
  readonly live: boolean;
  readonly now: number;
  /** The tile's streams, as far as they are known. */
  readonly streams: readonly StreamStatus[];
}

/** An answer that should have come anew is old from here on. */
export const OLD_MS = 20_000;

export function tileState(known: Known): TileState {
  const { body, fault, streams } = known;
  if (fault) return fault.away ? "disconnected" : "failed";
  if (!known.connected) return body && !known.live && !known.outdated ? "past" : "disconnected";
  if (!body) return "loading";
  if (known.outdated) return "updating";
  if (!body.applies) return "absent";
  if (!known.live) return body.rows_seen === 0 ? "empty" : "past";
  if (streams.some((s) => s.state === "failed")) return "failed";
  if (streams.some((s) => s.state === "delayed")) return "delayed";
  if (known.readAt !== null && known.now - known.readAt > Math.max(OLD_MS, body.seconds * 10_000)) return "delayed";
  if (body.rows_seen === 0) return "empty";
  return streams.length > 0 && streams.every((s) => s.state === "quiet" || s.state === "empty") ? "quiet" : "live";
}

/** Why it is as it is, where the streams say so. */
export function tileReason(known: Known, state: TileState): string | null {
  if (known.fault) return known.fault.message;
  if (state !== "failed" && state !== "delayed") return null;
  return known.streams.find((s) => s.state === state)?.message ?? null;
}

export interface Completeness {
  readonly late: number | null;
  readonly quarantined: number | null;
  readonly lag: number | null;
}

/** Over the tile's streams; null where one of them does not know. */
export function completeness(body: TileAnswer | null, streams: readonly StreamStatus[], of: number): Completeness {
  const sum = (read: (s: StreamStatus) => number | null) =>
    streams.length < of || streams.some((s) => read(s) === null)
      ? null
      : streams.reduce((total, s) => total + (read(s) as number), 0);
  return {
    late: body?.applies ? body.late : null,
    quarantined: sum((s) => s.quarantined),
    lag: sum((s) => s.lag_records),
  };
}
