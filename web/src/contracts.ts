// Compiled from the contracts by `tools/build_page.py --types`. Change the contracts, not this file.

// Compiled from the contract of the stream 'vehicle', version 1.0.0. Change the contract, not this file.

/** Position, speed and engine data of vehicles. */
export interface VehicleRow {
  /** Id of the event; the same id within the window is a duplicate */
  readonly id: string;
  /**
   * Vehicle or device that reports
   * Personal data.
   */
  readonly vehicle_id: string;
  /**
   * When it happened, UTC; text without an offset is read as UTC
   * UTC, ISO 8601.
   */
  readonly event_time: string;
  /**
   * Latitude, WGS 84, north is positive
   * Unit: deg.
   * Range: -90 to 90.
   * Personal data.
   */
  readonly latitude: number;
  /**
   * Longitude, WGS 84, east is positive
   * Unit: deg.
   * Range: -180 to 180.
   * Personal data.
   */
  readonly longitude: number;
  /**
   * H3 cell of the position at the resolution of this contract
   * Computed by Watling.
   */
  readonly h3: string | null;
  /**
   * Speed over ground
   * Unit: km/h.
   * Range: 0 to 400.
   */
  readonly speed_kmh: number | null;
  /** Direction of travel as the device names it */
  readonly direction: string | null;
  /** Manufacturer */
  readonly make: string | null;
  /** Model */
  readonly model: string | null;
  /**
   * Year of manufacture
   * Range: 1900 to 2100.
   */
  readonly year: number | null;
  /** Fuel */
  readonly fuel_type: string | null;
  /** Kind of vehicle */
  readonly vehicle_type: string | null;
  /**
   * Heading, clockwise from true north
   * Unit: deg.
   * Range: 0 to 360.
   */
  readonly heading_deg: number | null;
  /**
   * Altitude above mean sea level
   * Unit: m.
   * Range: -500 to 9000.
   */
  readonly altitude_m: number | null;
  /**
   * Engine speed
   * Unit: 1/min.
   * Range: 0 to 20000.
   */
  readonly rpm: number | null;
  /**
   * Fuel rate
   * Unit: l/h.
   * Range: 0 to 500.
   */
  readonly fuel_rate_lph: number | null;
  /**
   * Throttle position
   * Unit: %.
   * Range: 0 to 100.
   */
  readonly throttle_pct: number | null;
  /**
   * Calculated engine load
   * Unit: %.
   * Range: 0 to 100.
   */
  readonly engine_load_pct: number | null;
  /**
   * Carbon dioxide emitted
   * Unit: kg/h.
   * Range: 0 to 2000.
   */
  readonly co2_kgph: number | null;
  /**
   * Horizontal dilution of precision of the position
   * Range: 0 to 100.
   */
  readonly hdop: number | null;
  /** Route or line that the vehicle runs on */
  readonly route: string | null;
  /** Trip that the event belongs to */
  readonly trip: string | null;
  /** Generation of the topic: 0, then 1 more for each time it was made again and accepted */
  readonly _kafka_generation: number;
  /** Kafka partition the record was read from */
  readonly _kafka_partition: number;
  /** Kafka offset of the record */
  readonly _kafka_offset: number;
  /**
   * The Kafka record's timestamp
   * UTC, ISO 8601.
   */
  readonly _ingested_at: string;
  /** Set on rows that quarantine replay landed */
  readonly _replay_id: string | null;
}

/** Columns of VehicleRow in the table's order; bounds are inclusive and in the unit. */
export const VEHICLE_COLUMNS = [
  { name: "id", type: "string", required: true },
  { name: "vehicle_id", type: "string", required: true, personal: true },
  { name: "event_time", type: "timestamp", required: true },
  { name: "latitude", type: "double", required: true, unit: "deg", minimum: -90, maximum: 90, personal: true },
  { name: "longitude", type: "double", required: true, unit: "deg", minimum: -180, maximum: 180, personal: true },
  { name: "h3", type: "string", required: false },
  { name: "speed_kmh", type: "double", required: false, unit: "km/h", minimum: 0, maximum: 400 },
  { name: "direction", type: "string", required: false },
  { name: "make", type: "string", required: false },
  { name: "model", type: "string", required: false },
  { name: "year", type: "int", required: false, minimum: 1900, maximum: 2100 },
  { name: "fuel_type", type: "string", required: false },
  { name: "vehicle_type", type: "string", required: false },
  { name: "heading_deg", type: "double", required: false, unit: "deg", minimum: 0, maximum: 360 },
  { name: "altitude_m", type: "double", required: false, unit: "m", minimum: -500, maximum: 9000 },
  { name: "rpm", type: "double", required: false, unit: "1/min", minimum: 0, maximum: 20000 },
  { name: "fuel_rate_lph", type: "double", required: false, unit: "l/h", minimum: 0, maximum: 500 },
  { name: "throttle_pct", type: "double", required: false, unit: "%", minimum: 0, maximum: 100 },
  { name: "engine_load_pct", type: "double", required: false, unit: "%", minimum: 0, maximum: 100 },
  { name: "co2_kgph", type: "double", required: false, unit: "kg/h", minimum: 0, maximum: 2000 },
  { name: "hdop", type: "double", required: false, minimum: 0, maximum: 100 },
  { name: "route", type: "string", required: false },
  { name: "trip", type: "string", required: false },
  { name: "_kafka_generation", type: "int", required: true },
  { name: "_kafka_partition", type: "int", required: true },
  { name: "_kafka_offset", type: "long", required: true },
  { name: "_ingested_at", type: "timestamp", required: true },
  { name: "_replay_id", type: "string", required: false },
] as const satisfies readonly { readonly name: keyof VehicleRow; readonly [fact: string]: unknown }[];

// Compiled from the contract of the stream 'gps', version 1.0.0. Change the contract, not this file.

/** Positions and speeds from GPS receivers in vehicles. The position is optional. */
export interface GpsRow {
  /** Id of the event; the same id within the window is a duplicate */
  readonly id: string;
  /**
   * Vehicle or device that reports
   * Personal data.
   */
  readonly vehicle_id: string;
  /**
   * When it happened, UTC; text without an offset is read as UTC
   * UTC, ISO 8601.
   */
  readonly event_time: string;
  /**
   * Latitude, WGS 84, north is positive
   * Unit: deg.
   * Range: -90 to 90.
   * Personal data.
   */
  readonly latitude: number | null;
  /**
   * Longitude, WGS 84, east is positive
   * Unit: deg.
   * Range: -180 to 180.
   * Personal data.
   */
  readonly longitude: number | null;
  /**
   * H3 cell of the position at the resolution of this contract
   * Computed by Watling.
   */
  readonly h3: string | null;
  /**
   * Speed over ground
   * Unit: km/h.
   * Range: 0 to 400.
   */
  readonly speed_kmh: number | null;
  /** Direction of travel as the device names it */
  readonly direction: string | null;
  /** Kind of vehicle */
  readonly vehicle_type: string | null;
  /**
   * Heading, clockwise from true north
   * Unit: deg.
   * Range: 0 to 360.
   */
  readonly heading_deg: number | null;
  /**
   * Altitude above mean sea level
   * Unit: m.
   * Range: -500 to 9000.
   */
  readonly altitude_m: number | null;
  /**
   * Horizontal dilution of precision of the position
   * Range: 0 to 100.
   */
  readonly hdop: number | null;
  /**
   * Satellites used for the position
   * Range: 0 to 100.
   */
  readonly satellites: number | null;
  /**
   * Estimated horizontal accuracy of the position
   * Unit: m.
   * Range: 0 to 100000.
   */
  readonly accuracy_m: number | null;
  /** Route or line that the vehicle runs on */
  readonly route: string | null;
  /** Trip that the event belongs to */
  readonly trip: string | null;
  /** Generation of the topic: 0, then 1 more for each time it was made again and accepted */
  readonly _kafka_generation: number;
  /** Kafka partition the record was read from */
  readonly _kafka_partition: number;
  /** Kafka offset of the record */
  readonly _kafka_offset: number;
  /**
   * The Kafka record's timestamp
   * UTC, ISO 8601.
   */
  readonly _ingested_at: string;
  /** Set on rows that quarantine replay landed */
  readonly _replay_id: string | null;
}

/** Columns of GpsRow in the table's order; bounds are inclusive and in the unit. */
export const GPS_COLUMNS = [
  { name: "id", type: "string", required: true },
  { name: "vehicle_id", type: "string", required: true, personal: true },
  { name: "event_time", type: "timestamp", required: true },
  { name: "latitude", type: "double", required: false, unit: "deg", minimum: -90, maximum: 90, personal: true },
  { name: "longitude", type: "double", required: false, unit: "deg", minimum: -180, maximum: 180, personal: true },
  { name: "h3", type: "string", required: false },
  { name: "speed_kmh", type: "double", required: false, unit: "km/h", minimum: 0, maximum: 400 },
  { name: "direction", type: "string", required: false },
  { name: "vehicle_type", type: "string", required: false },
  { name: "heading_deg", type: "double", required: false, unit: "deg", minimum: 0, maximum: 360 },
  { name: "altitude_m", type: "double", required: false, unit: "m", minimum: -500, maximum: 9000 },
  { name: "hdop", type: "double", required: false, minimum: 0, maximum: 100 },
  { name: "satellites", type: "int", required: false, minimum: 0, maximum: 100 },
  { name: "accuracy_m", type: "double", required: false, unit: "m", minimum: 0, maximum: 100000 },
  { name: "route", type: "string", required: false },
  { name: "trip", type: "string", required: false },
  { name: "_kafka_generation", type: "int", required: true },
  { name: "_kafka_partition", type: "int", required: true },
  { name: "_kafka_offset", type: "long", required: true },
  { name: "_ingested_at", type: "timestamp", required: true },
  { name: "_replay_id", type: "string", required: false },
] as const satisfies readonly { readonly name: keyof GpsRow; readonly [fact: string]: unknown }[];

// Compiled from the contract of the stream 'traffic', version 1.0.0. Change the contract, not this file.

/** Pictures and counts from traffic cameras and road sensors. */
export interface TrafficRow {
  /** Id of the event; the same id within the window is a duplicate */
  readonly id: string;
  /** Vehicle that the event goes with, if any */
  readonly vehicle_id: string | null;
  /**
   * When it happened, UTC; text without an offset is read as UTC
   * UTC, ISO 8601.
   */
  readonly event_time: string;
  /**
   * Latitude, WGS 84, north is positive
   * Unit: deg.
   * Range: -90 to 90.
   */
  readonly latitude: number | null;
  /**
   * Longitude, WGS 84, east is positive
   * Unit: deg.
   * Range: -180 to 180.
   */
  readonly longitude: number | null;
  /**
   * H3 cell of the position at the resolution of this contract
   * Computed by Watling.
   */
  readonly h3: string | null;
  /** Camera or sensor that reports */
  readonly camera_id: string;
  /** Picture: the reference to its bytes in the lake, or the text as it came when it is no picture */
  readonly snapshot: string | null;
  /**
   * Size of the picture
   * Unit: By.
   * Range: 0 or more.
   * Computed by Watling.
   */
  readonly snapshot_bytes: number | null;
  /**
   * Media type of the picture
   * Computed by Watling.
   */
  readonly snapshot_type: string | null;
  /**
   * Cars counted in the interval; a mean may have a fraction
   * Range: 0 to 1000000.
   */
  readonly cars: number | null;
  /**
   * Trucks counted in the interval; a mean may have a fraction
   * Range: 0 to 1000000.
   */
  readonly trucks: number | null;
  /**
   * Persons counted in the interval; a mean may have a fraction
   * Range: 0 to 1000000.
   */
  readonly persons: number | null;
  /**
   * Vehicles per hour
   * Unit: 1/h.
   * Range: 0 to 1000000.
   */
  readonly flow_vph: number | null;
  /**
   * Mean speed of the vehicles counted
   * Unit: km/h.
   * Range: 0 to 400.
   */
  readonly mean_speed_kmh: number | null;
  /**
   * Share of time that the sensor is occupied
   * Unit: %.
   * Range: 0 to 100.
   */
  readonly occupancy_pct: number | null;
  /**
   * Length of the interval that the counts cover
   * Unit: s.
   * Range: 0 to 2678400.
   */
  readonly interval_s: number | null;
  /** Generation of the topic: 0, then 1 more for each time it was made again and accepted */
  readonly _kafka_generation: number;
  /** Kafka partition the record was read from */
  readonly _kafka_partition: number;
  /** Kafka offset of the record */
  readonly _kafka_offset: number;
  /**
   * The Kafka record's timestamp
   * UTC, ISO 8601.
   */
  readonly _ingested_at: string;
  /** Set on rows that quarantine replay landed */
  readonly _replay_id: string | null;
}

/** Columns of TrafficRow in the table's order; bounds are inclusive and in the unit. */
export const TRAFFIC_COLUMNS = [
  { name: "id", type: "string", required: true },
  { name: "vehicle_id", type: "string", required: false },
  { name: "event_time", type: "timestamp", required: true },
  { name: "latitude", type: "double", required: false, unit: "deg", minimum: -90, maximum: 90 },
  { name: "longitude", type: "double", required: false, unit: "deg", minimum: -180, maximum: 180 },
  { name: "h3", type: "string", required: false },
  { name: "camera_id", type: "string", required: true },
  { name: "snapshot", type: "string", required: false },
  { name: "snapshot_bytes", type: "long", required: false, unit: "By", minimum: 0 },
  { name: "snapshot_type", type: "string", required: false },
  { name: "cars", type: "double", required: false, minimum: 0, maximum: 1000000 },
  { name: "trucks", type: "double", required: false, minimum: 0, maximum: 1000000 },
  { name: "persons", type: "double", required: false, minimum: 0, maximum: 1000000 },
  { name: "flow_vph", type: "double", required: false, unit: "1/h", minimum: 0, maximum: 1000000 },
  { name: "mean_speed_kmh", type: "double", required: false, unit: "km/h", minimum: 0, maximum: 400 },
  { name: "occupancy_pct", type: "double", required: false, unit: "%", minimum: 0, maximum: 100 },
  { name: "interval_s", type: "double", required: false, unit: "s", minimum: 0, maximum: 2678400 },
  { name: "_kafka_generation", type: "int", required: true },
  { name: "_kafka_partition", type: "int", required: true },
  { name: "_kafka_offset", type: "long", required: true },
  { name: "_ingested_at", type: "timestamp", required: true },
  { name: "_replay_id", type: "string", required: false },
] as const satisfies readonly { readonly name: keyof TrafficRow; readonly [fact: string]: unknown }[];

// Compiled from the contract of the stream 'weather', version 1.0.0. Change the contract, not this file.

/** Weather and air quality along the road and at stations. */
export interface WeatherRow {
  /** Id of the event; the same id within the window is a duplicate */
  readonly id: string;
  /** Vehicle or station that the event goes with */
  readonly vehicle_id: string | null;
  /**
   * When it happened, UTC; text without an offset is read as UTC
   * UTC, ISO 8601.
   */
  readonly event_time: string;
  /**
   * Latitude, WGS 84, north is positive
   * Unit: deg.
   * Range: -90 to 90.
   */
  readonly latitude: number | null;
  /**
   * Longitude, WGS 84, east is positive
   * Unit: deg.
   * Range: -180 to 180.
   */
  readonly longitude: number | null;
  /**
   * H3 cell of the position at the resolution of this contract
   * Computed by Watling.
   */
  readonly h3: string | null;
  /**
   * Air temperature
   * Unit: Cel.
   * Range: -90 to 60.
   */
  readonly temperature_c: number | null;
  /** Condition in words */
  readonly weather_condition: string | null;
  /**
   * Precipitation
   * Unit: mm.
   * Range: 0 to 1000.
   */
  readonly precipitation_mm: number | null;
  /**
   * Wind speed
   * Unit: km/h.
   * Range: 0 to 500.
   */
  readonly wind_speed_kmh: number | null;
  /**
   * Relative humidity
   * Unit: %.
   * Range: 0 to 100.
   */
  readonly humidity_pct: number | null;
  /**
   * Air quality index as the device computes it
   * Range: 0 to 1000.
   */
  readonly air_quality_index: number | null;
  /**
   * Direction that the wind comes from, clockwise from north
   * Unit: deg.
   * Range: 0 to 360.
   */
  readonly wind_direction_deg: number | null;
  /**
   * Visibility
   * Unit: m.
   * Range: 0 to 200000.
   */
  readonly visibility_m: number | null;
  /**
   * Nitrogen dioxide
   * Unit: ug/m3.
   * Range: 0 to 10000.
   */
  readonly no2_ugm3: number | null;
  /**
   * Nitrogen oxides
   * Unit: ug/m3.
   * Range: 0 to 10000.
   */
  readonly nox_ugm3: number | null;
  /**
   * Particles up to 10 um
   * Unit: ug/m3.
   * Range: 0 to 10000.
   */
  readonly pm10_ugm3: number | null;
  /**
   * Particles up to 2.5 um
   * Unit: ug/m3.
   * Range: 0 to 10000.
   */
  readonly pm25_ugm3: number | null;
  /** Weather or air quality station */
  readonly station: string | null;
  /** Generation of the topic: 0, then 1 more for each time it was made again and accepted */
  readonly _kafka_generation: number;
  /** Kafka partition the record was read from */
  readonly _kafka_partition: number;
  /** Kafka offset of the record */
  readonly _kafka_offset: number;
  /**
   * The Kafka record's timestamp
   * UTC, ISO 8601.
   */
  readonly _ingested_at: string;
  /** Set on rows that quarantine replay landed */
  readonly _replay_id: string | null;
}

/** Columns of WeatherRow in the table's order; bounds are inclusive and in the unit. */
export const WEATHER_COLUMNS = [
  { name: "id", type: "string", required: true },
  { name: "vehicle_id", type: "string", required: false },
  { name: "event_time", type: "timestamp", required: true },
  { name: "latitude", type: "double", required: false, unit: "deg", minimum: -90, maximum: 90 },
  { name: "longitude", type: "double", required: false, unit: "deg", minimum: -180, maximum: 180 },
  { name: "h3", type: "string", required: false },
  { name: "temperature_c", type: "double", required: false, unit: "Cel", minimum: -90, maximum: 60 },
  { name: "weather_condition", type: "string", required: false },
  { name: "precipitation_mm", type: "double", required: false, unit: "mm", minimum: 0, maximum: 1000 },
  { name: "wind_speed_kmh", type: "double", required: false, unit: "km/h", minimum: 0, maximum: 500 },
  { name: "humidity_pct", type: "double", required: false, unit: "%", minimum: 0, maximum: 100 },
  { name: "air_quality_index", type: "double", required: false, minimum: 0, maximum: 1000 },
  { name: "wind_direction_deg", type: "double", required: false, unit: "deg", minimum: 0, maximum: 360 },
  { name: "visibility_m", type: "double", required: false, unit: "m", minimum: 0, maximum: 200000 },
  { name: "no2_ugm3", type: "double", required: false, unit: "ug/m3", minimum: 0, maximum: 10000 },
  { name: "nox_ugm3", type: "double", required: false, unit: "ug/m3", minimum: 0, maximum: 10000 },
  { name: "pm10_ugm3", type: "double", required: false, unit: "ug/m3", minimum: 0, maximum: 10000 },
  { name: "pm25_ugm3", type: "double", required: false, unit: "ug/m3", minimum: 0, maximum: 10000 },
  { name: "station", type: "string", required: false },
  { name: "_kafka_generation", type: "int", required: true },
  { name: "_kafka_partition", type: "int", required: true },
  { name: "_kafka_offset", type: "long", required: true },
  { name: "_ingested_at", type: "timestamp", required: true },
  { name: "_replay_id", type: "string", required: false },
] as const satisfies readonly { readonly name: keyof WeatherRow; readonly [fact: string]: unknown }[];

// Compiled from the contract of the stream 'emergency', version 1.0.0. Change the contract, not this file.

/** Incidents: what, where, and how far it is dealt with. */
export interface EmergencyRow {
  /** Id of the event; the same id within the window is a duplicate */
  readonly id: string;
  /** Vehicle that reports or is concerned */
  readonly vehicle_id: string | null;
  /**
   * When it happened, UTC; text without an offset is read as UTC
   * UTC, ISO 8601.
   */
  readonly event_time: string;
  /**
   * Latitude, WGS 84, north is positive
   * Unit: deg.
   * Range: -90 to 90.
   */
  readonly latitude: number;
  /**
   * Longitude, WGS 84, east is positive
   * Unit: deg.
   * Range: -180 to 180.
   */
  readonly longitude: number;
  /**
   * H3 cell of the position at the resolution of this contract
   * Computed by Watling.
   */
  readonly h3: string | null;
  /** Incident that the event is about; it keeps its id through its life */
  readonly incident_id: string;
  /** Kind of incident; None means that nothing is wrong */
  readonly type: "Accident" | "Fire" | "Medical" | "Police" | "Breakdown" | "Flood" | "Special Service" | "Other" | "None";
  /** State of the incident */
  readonly status: "Active" | "Resolved" | "Reported" | "Attending" | "Cleared" | null;
  /** What happened, in words */
  readonly description: string | null;
  /** Severity as the source names it */
  readonly severity: string | null;
  /** Road that it is on */
  readonly road: string | null;
  /** Generation of the topic: 0, then 1 more for each time it was made again and accepted */
  readonly _kafka_generation: number;
  /** Kafka partition the record was read from */
  readonly _kafka_partition: number;
  /** Kafka offset of the record */
  readonly _kafka_offset: number;
  /**
   * The Kafka record's timestamp
   * UTC, ISO 8601.
   */
  readonly _ingested_at: string;
  /** Set on rows that quarantine replay landed */
  readonly _replay_id: string | null;
}

/** Columns of EmergencyRow in the table's order; bounds are inclusive and in the unit. */
export const EMERGENCY_COLUMNS = [
  { name: "id", type: "string", required: true },
  { name: "vehicle_id", type: "string", required: false },
  { name: "event_time", type: "timestamp", required: true },
  { name: "latitude", type: "double", required: true, unit: "deg", minimum: -90, maximum: 90 },
  { name: "longitude", type: "double", required: true, unit: "deg", minimum: -180, maximum: 180 },
  { name: "h3", type: "string", required: false },
  { name: "incident_id", type: "string", required: true },
  { name: "type", type: "string", required: true },
  { name: "status", type: "string", required: false },
  { name: "description", type: "string", required: false },
  { name: "severity", type: "string", required: false },
  { name: "road", type: "string", required: false },
  { name: "_kafka_generation", type: "int", required: true },
  { name: "_kafka_partition", type: "int", required: true },
  { name: "_kafka_offset", type: "long", required: true },
  { name: "_ingested_at", type: "timestamp", required: true },
  { name: "_replay_id", type: "string", required: false },
] as const satisfies readonly { readonly name: keyof EmergencyRow; readonly [fact: string]: unknown }[];
