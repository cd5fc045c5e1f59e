// Receives binary frames as `dashboard/frames.py` describes them; gives their header and typed columns.

export interface Frame {
  readonly seq: number;
  /** Server time, ms since 1970. */
  readonly at: number;
  /** True: vehicles that are not in this frame are no longer known. */
  readonly whole: boolean;
  readonly count: number;
  readonly names: readonly (readonly [slot: number, id: string, type: string])[];
  readonly gone: readonly number[];
  readonly slot: Uint32Array;
  /** Degrees × 1e6. */
  readonly latitude: Int32Array;
  readonly longitude: Int32Array;
  /** km/h × 10; UNKNOWN when unknown. */
  readonly speed: Uint16Array;
  /** Degrees clockwise from north × 10; UNKNOWN when unknown. */
  readonly heading: Uint16Array;
  /** ms since the vehicle's last arrival, at `at`. */
  readonly silent: Uint32Array;
  /** The device's own time, seconds since 1970. */
  readonly event: Uint32Array;
}

export const UNKNOWN = 65535;
const MAGIC = 0x314c5457; // "WTL1", little-endian

interface Header {
  seq: number;
  at: number;
  whole: boolean;
  count: number;
  names: [number, string, string][];
  gone: number[];
  columns: [name: string, type: string, offset: number][];
}

/** Decode one frame. The columns are views on its bytes. Throws on anything that is not a frame. */
export function decode(buffer: ArrayBuffer): Frame {
  const view = new DataView(buffer);
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw new Error("not a Watling frame");
  const length = view.getUint32(4, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length))) as Header;
  const offset = (name: string, type: string): number => {
    const column = header.columns.find(([n, t]) => n === name && t === type);
    if (!column) throw new Error(`the frame has no column ${name} of type ${type}`);
    return column[2];
  };
  const n = header.count;
  return {
    seq: header.seq,
    at: header.at,
    whole: header.whole,
    count: n,
    names: header.names,
    gone: header.gone,
    slot: new Uint32Array(buffer, offset("slot", "u32"), n),
    latitude: new Int32Array(buffer, offset("latitude", "i32"), n),
    longitude: new Int32Array(buffer, offset("longitude", "i32"), n),
    speed: new Uint16Array(buffer, offset("speed", "u16"), n),
    heading: new Uint16Array(buffer, offset("heading", "u16"), n),
    silent: new Uint32Array(buffer, offset("silent", "u32"), n),
    event: new Uint32Array(buffer, offset("event", "u32"), n),
  };
}
