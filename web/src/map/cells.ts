// Receives what the user wants to see counted and the map's zoom; gives the map cells with a step of a colour scale each.

import { read } from "../wire/read";
import { SPEED_STEPS } from "./colors";

export type Layer = "none" | "density" | "speed";
export type CellRow = readonly [h3: string, count: number, speed: number | null];

export interface Cells {
  readonly layer: Exclude<Layer, "none">;
  readonly features: GeoJSON.Feature[];
  /** The least value of each step. */
  readonly steps: readonly number[];
  readonly records: number;
  /** Newest event that was counted, ms since 1970. */
  readonly asOf: number | null;
}

export const STEPS = 5;
const FINEST = 10;
const COARSEST = 3;

/** The H3 resolution whose cells are about 50 pixels wide at a zoom, in steps that do not flicker between zooms. */
export function resolutionAt(zoom: number): number {
  return Math.min(FINEST, Math.max(COARSEST, Math.round(3 + (zoom - 5) * 0.7)));
}

/** The least value of each step: equal factors from 1 to the most, whole numbers, none twice. */
export function densitySteps(most: number): number[] {
  const steps: number[] = [1];
  for (let i = 1; i < STEPS; i++) {
    const step = Math.round(Math.max(1, most) ** (i / STEPS));
    if (step > (steps.at(-1) as number)) steps.push(step);
  }
  return steps;
}

/** The step that a value belongs to; -1 where there is no value. */
export function stepOf(value: number | null, steps: readonly number[]): number {
  if (value === null) return -1;
  let at = 0;
  while (at + 1 < steps.length && value >= (steps[at + 1] as number)) at++;
  return at;
}

/** `params` is the filter's query; a cell that is filtered by does not hide the others. Rejects with a sentence. */
export async function readCells(
  layer: Exclude<Layer, "none">,
  zoom: number,
  params: URLSearchParams,
  stream: string,
  signal: AbortSignal,
): Promise<Cells> {
  const query = new URLSearchParams(params);
  query.delete("cell");
  query.set("stream", stream);
  query.set("measure", layer === "density" ? "count" : "speed");
  query.set("resolution", String(resolutionAt(zoom)));
  const [{ cellToBoundary }, body] = await Promise.all([
    import("h3-js"),
    read<{ cells: CellRow[]; as_of_ms: number | null }>(`/api/cells?${query}`, signal),
  ]);
  const rows = body.cells;
  const most = rows.reduce((n, row) => Math.max(n, row[1]), 0);
  const steps = layer === "density" ? densitySteps(most) : SPEED_STEPS;
  return {
    layer,
    steps,
    records: rows.reduce((n, row) => n + row[1], 0),
    asOf: body.as_of_ms,
    features: rows.map(([cell, count, speed]) => ({
      type: "Feature",
      properties: { cell, count, speed, step: stepOf(layer === "density" ? count : speed, steps) },
      geometry: { type: "Polygon", coordinates: [cellToBoundary(cell, true)] },
    })),
  };
}
