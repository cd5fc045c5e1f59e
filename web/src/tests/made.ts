// Makes frames for tests, byte for byte as the server does.

import { UNKNOWN } from "../wire/frame";

/** A frame as `dashboard/frames.py` writes it. */
export function frame(
  vehicles: [slot: number, latitude: number, longitude: number, silentMs: number][],
  names: [number, string, string][] = [],
  whole = false,
): ArrayBuffer {
  const n = vehicles.length;
  const padded = (size: number) => Math.ceil(size / 8) * 8;
  const sizes = [4, 4, 4, 2, 2, 4, 4].map((bytes) => padded(bytes * n));
  const start = 1024;
  const offsets = sizes.map((_, i) => start + sizes.slice(0, i).reduce((a, b) => a + b, 0));
  const keys = ["slot", "latitude", "longitude", "speed", "heading", "silent", "event"];
  const types = ["u32", "i32", "i32", "u16", "u16", "u32", "u32"];
  const header = {
    seq: 1,
    at: Date.now(),
    whole,
    count: n,
    names,
    gone: [],
    columns: keys.map((k, i) => [k, types[i], offsets[i]]),
  };
  const buffer = new ArrayBuffer(start + sizes.reduce((a, b) => a + b, 0));
  const view = new DataView(buffer);
  view.setUint32(0, 0x314c5457, true);
  view.setUint32(4, start - 8, true);
  new Uint8Array(buffer, 8, start - 8).set(new TextEncoder().encode(JSON.stringify(header).padEnd(start - 8)));
  vehicles.forEach(([slot, latitude, longitude, silent], i) => {
    view.setUint32((offsets[0] as number) + 4 * i, slot, true);
    view.setInt32((offsets[1] as number) + 4 * i, Math.round(latitude * 1e6), true);
    view.setInt32((offsets[2] as number) + 4 * i, Math.round(longitude * 1e6), true);
    view.setUint16((offsets[3] as number) + 2 * i, 905, true);
    view.setUint16((offsets[4] as number) + 2 * i, UNKNOWN, true);
    view.setUint32((offsets[5] as number) + 4 * i, silent, true);
    view.setUint32((offsets[6] as number) + 4 * i, 1_700_000_000, true);
  });
  return buffer;
}
