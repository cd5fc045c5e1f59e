// The texts that the server sends, as `dashboard/status.py` and `dashboard/hub.py` make them. Times are ms since 1970.

import type { EmergencyRow, TrafficRow, WeatherRow } from "../contracts";

export type StreamState = "live" | "quiet" | "delayed" | "empty" | "failed" | "unknown";

export interface StreamStatus {
  readonly topic: string;
  readonly state: StreamState;
  readonly message: string | null;
  readonly landed: number | null;
  readonly quarantined: number | null;
  readonly duplicates: number | null;
  readonly lost: number | null;
  readonly lag_records: number | null;
  readonly lag_seconds: number | null;
  readonly freshness_seconds: number | null;
  readonly last_commit: string | null;
  readonly seen: number;
  readonly bad: number;
  /** Records between the lake's end and where the page began to read: not on the map. */
  readonly skipped: number;
  readonly reasons: Readonly<Record<string, number>>;
  /** Counted by the running pipeline, duplicates among them; empty when none runs. */
  readonly lake_reasons: Readonly<Record<string, number>>;
  readonly rate: number;
  readonly rates: readonly number[];
  readonly bad_rates: readonly number[];
  readonly last_record_ms: number | null;
  readonly last_event_ms: number | null;
}

export interface Status {
  readonly kind: "status";
  readonly at: number;
  readonly version: string;
  readonly streams: Readonly<Record<string, StreamStatus>>;
  readonly broker: Readonly<Record<string, unknown>> | null;
  readonly pipeline: Readonly<Record<string, unknown>> | null;
  readonly lake: { readonly read_ms: number | null; readonly stale: boolean; readonly fault: string | null };
  readonly viewers: number;
  readonly fleet: {
    readonly total: number;
    readonly heard: number;
    readonly moving: number;
    readonly unplaced: number;
    readonly mean_speed_kmh: number | null;
  };
  readonly incidents: {
    readonly known: number;
    readonly open: number;
    readonly open_by_type: Readonly<Record<string, number>>;
  };
}

export interface Sample {
  readonly partition: number;
  readonly offset: number;
  readonly at: number | null;
  readonly reason: string;
  readonly field: string | null;
  readonly message: string | null;
  readonly raw: string | null;
  readonly raw_bytes: number;
}

export interface Samples {
  readonly kind: "quarantine";
  readonly samples: Readonly<Record<string, readonly Sample[]>>;
}

/** A place's newest row: null columns are left out. */
type Place<Row> = Partial<Row> & {
  readonly place: string;
  readonly event_ms: number;
  readonly first_ms: number;
};
export type Incident = Place<EmergencyRow>;
export type Camera = Place<TrafficRow>;
export type Station = Place<WeatherRow>;

export interface Places {
  readonly kind: "places";
  readonly at: number;
  readonly places: {
    readonly emergency: readonly Incident[];
    readonly traffic: readonly Camera[];
    readonly weather: readonly Station[];
  };
}

export interface VehicleCard {
  readonly vehicle_id: string;
  readonly latitude: number | null;
  readonly longitude: number | null;
  readonly speed_kmh: number | null;
  readonly heading_deg: number | null;
  readonly event_ms: number;
  readonly seen_ms: number;
  readonly stream: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
  readonly facts: Readonly<Record<string, string | number>>;
  readonly trail: readonly (readonly [latitude: number, longitude: number, ms: number])[];
}

export type Message = Status | Samples | Places;
