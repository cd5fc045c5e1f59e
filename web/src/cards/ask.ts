// Receives what a card shows; gives its past from the server, or the sentence that says why not.

import { read } from "../wire/read";

/** Columns of equal length, oldest first. ms since 1970, degrees, km/h. */
export interface Track {
  readonly event_ms: readonly number[];
  readonly latitude: readonly (number | null)[];
  readonly longitude: readonly (number | null)[];
  readonly speed_kmh: readonly (number | null)[];
  readonly heading_deg: readonly (number | null)[];
  readonly stream: readonly string[];
  readonly topic: readonly string[];
  readonly partition: readonly number[];
  readonly offset: readonly number[];
}

export interface VehicleHistory {
  readonly vehicle_id: string;
  readonly columns: Track;
  /** There were more reports: these are the newest. */
  readonly cut: boolean;
}

export interface Landed {
  readonly stream: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly row: Readonly<Record<string, unknown>>;
  readonly raw: string | null;
  readonly raw_state: "kept" | "cut" | "gone" | "unknown";
}

export interface Picture {
  readonly event_ms: number;
  readonly url: string;
  readonly bytes: number | null;
  readonly type: string | null;
  readonly cars: number | null;
  readonly trucks: number | null;
  readonly persons: number | null;
}

export interface Near {
  readonly id: string;
  readonly stream: string;
  readonly event_ms: number;
  readonly distance_m: number;
  readonly type: string | null;
}

export interface IncidentPast {
  readonly incident_id: string;
  readonly life: readonly Readonly<Record<string, unknown>>[];
  readonly near: {
    readonly vehicles: readonly Near[];
    readonly cameras: readonly Near[];
    readonly incidents: readonly Near[];
  };
}

const part = encodeURIComponent;

export function vehicleHistory(id: string, from: number, to: number, limit: number, signal: AbortSignal) {
  return read<VehicleHistory>(`/api/vehicles/${part(id)}/history?from=${from}&to=${to}&limit=${limit}`, signal);
}

export function landedRecord(id: string, stream: string, partition: number, offset: number, signal: AbortSignal) {
  const where = new URLSearchParams({ stream, partition: String(partition), offset: String(offset) });
  return read<Landed>(`/api/vehicles/${part(id)}/record?${where}`, signal);
}

/** Pictures with event time before that moment, newest first. */
export function cameraPictures(id: string, before: number | null, limit: number, signal: AbortSignal) {
  const where = new URLSearchParams({ limit: String(limit), ...(before === null ? {} : { before: String(before) }) });
  return read<{ pictures: readonly Picture[] }>(`/api/cameras/${part(id)}/pictures?${where}`, signal);
}

export function incidentPast(id: string, signal: AbortSignal) {
  return read<IncidentPast>(`/api/incidents/${part(id)}`, signal);
}
