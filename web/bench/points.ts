// Receives a number of points from bench/page_fps.py; draws them by our layer or by MapLibre's circles and gives the
// frames a second that the GPU finished. Both are paced alike: no frame is begun before the last was finished.

import { type GeoJSONSource, Map as MapLibre, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url";
import { SPEED_COLORS, SPEED_STEPS } from "../src/map/colors";
import { VehicleLayer } from "../src/map/vehicles";
import { Fleet } from "../src/state/fleet";
import type { Frame } from "../src/wire/frame";

type Leg = "ours" | "circles";

const CENTRE: [number, number] = [-1.2, 52];
const [WIDE, HIGH] = [5, 2]; // degrees: all of it is in view
const REPORT_MS = 1000;

/** Where point `i` is at that second: each on a circle of its own. */
function place(i: number, second: number): [longitude: number, latitude: number, speed: number, heading: number] {
  const [u, v] = [(i * 0.754877) % 1, (i * 0.56984) % 1]; // even over the view: R2 sequence
  const angle = second * 0.05 + i;
  return [
    CENTRE[0] + (u - 0.5) * WIDE + Math.cos(angle) * 0.02,
    CENTRE[1] + (v - 0.5) * HIGH + Math.sin(angle) * 0.012,
    i % 120,
    ((((angle * 180) / Math.PI) % 360) + 360) % 360,
  ];
}

function frame(count: number, second: number, whole: boolean): Frame {
  const column = <T extends Int32Array | Uint32Array | Uint16Array>(into: T, value: (i: number) => number): T => {
    for (let i = 0; i < count; i++) into[i] = value(i);
    return into;
  };
  const kinds = ["Car", "Van", "Truck", "Bus"];
  return {
    seq: second,
    at: Date.now(),
    whole,
    count,
    names: whole ? Array.from({ length: count }, (_, i) => [i, `V${i}`, kinds[i % 4] as string] as const) : [],
    gone: [],
    slot: column(new Uint32Array(count), (i) => i),
    longitude: column(new Int32Array(count), (i) => place(i, second)[0] * 1e6),
    latitude: column(new Int32Array(count), (i) => place(i, second)[1] * 1e6),
    speed: column(new Uint16Array(count), (i) => place(i, second)[2] * 10),
    heading: column(new Uint16Array(count), (i) => place(i, second)[3] * 10),
    silent: new Uint32Array(count),
    event: new Uint32Array(count),
  };
}

function collection(count: number, second: number): GeoJSON.FeatureCollection {
  return {
    type: "FeatureCollection",
    features: Array.from({ length: count }, (_, i) => {
      const [longitude, latitude, speed] = place(i, second);
      return {
        type: "Feature",
        properties: { speed },
        geometry: { type: "Point", coordinates: [longitude, latitude] },
      };
    }),
  };
}

setWorkerUrl(workerUrl);
const map = new MapLibre({
  container: "map",
  style: {
    version: 8,
    sources: {},
    layers: [{ id: "ground", type: "background", paint: { "background-color": "#111" } }],
  },
  center: CENTRE,
  zoom: 7,
  attributionControl: false,
  fadeDuration: 0,
});
const loaded = map.once("load");
const gl = map.getCanvas().getContext("webgl2") as WebGL2RenderingContext;

/** Frames that were drawn and finished in that time, a second. */
async function count(seconds: number, finished: () => boolean, report: (second: number) => void): Promise<number> {
  let frames = 0;
  let second = 0;
  let waiting = false;
  const begun = performance.now();
  for (;;) {
    await new Promise(requestAnimationFrame);
    const passed = performance.now() - begun;
    if (waiting && finished()) {
      frames++;
      waiting = false;
      if (passed >= seconds * 1000) return (frames * 1000) / passed;
    }
    if (passed > (second + 1) * REPORT_MS) report(++second);
    if (!waiting) {
      waiting = true;
      const drawn = map.once("render");
      map.triggerRepaint();
      await drawn;
    }
  }
}

async function ours(points: number, seconds: number, live: boolean): Promise<number> {
  const fleet = new Fleet();
  fleet.apply(frame(points, 0, true));
  const layer = new VehicleLayer(fleet, "dark");
  map.addLayer(layer);
  const result = await count(
    seconds,
    () => layer.finished(),
    (second) => live && fleet.apply(frame(points, second, false)),
  );
  map.removeLayer("vehicles");
  return result;
}

async function circles(points: number, seconds: number, live: boolean): Promise<number> {
  map.addSource("points", { type: "geojson", data: collection(points, 0), buffer: 0, maxzoom: 8 });
  map.addLayer({
    id: "points",
    type: "circle",
    source: "points",
    paint: {
      "circle-radius": 5,
      "circle-stroke-width": 1,
      "circle-color": [
        "interpolate",
        ["linear"],
        ["get", "speed"],
        ...SPEED_STEPS.flatMap((step, i) => [step, SPEED_COLORS.dark[i] as string]),
      ] as never,
    },
  });
  await map.once("idle");
  let fence: WebGLSync | null = null;
  const mark = (): void => {
    fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
  };
  map.on("render", mark);
  const result = await count(
    seconds,
    () => fence !== null && gl.getSyncParameter(fence, gl.SYNC_STATUS) === gl.SIGNALED,
    (second) => live && (map.getSource("points") as GeoJSONSource).setData(collection(points, second)),
  );
  map.off("render", mark);
  map.removeLayer("points");
  map.removeSource("points");
  return result;
}

Object.assign(window, {
  measure: async (leg: Leg, points: number, seconds: number, live: boolean): Promise<number> => {
    await loaded;
    return leg === "ours" ? ours(points, seconds, live) : circles(points, seconds, live);
  },
});
