// Receives a tile and the filter; gives what is asked of the server. Pure.

import { type Filter, restQuery } from "../state/address";
import type { Question } from "../state/history.svelte";
import type { Tile } from "./state";

/** Bars and slices of the column that is filtered by stay all there, so that another can be chosen beside them. */
export function without(tile: Pick<Tile, "kind" | "by">, filter: Filter): Filter {
  if (tile.by === null || (tile.kind !== "bars" && tile.kind !== "pie")) return filter;
  if (tile.by === "stream") return { ...filter, stream: null };
  const { [tile.by]: _, ...where } = filter.where;
  return { ...filter, where };
}

/** `now` is the server's clock. Two questions of one key differ at most by how far time has moved on. */
export function questionOf(tile: Pick<Tile, "id" | "kind" | "by">, filter: Filter, now: () => number): Question {
  const meant = without(tile, filter);
  const fixed = restQuery({ ...meant, at: null }, 0);
  const moving = filter.from === null || filter.at !== null;
  if (moving) fixed.delete("from");
  const time = filter.at !== null ? "at" : filter.from === null ? "live" : "range";
  return {
    key: `${tile.id} ${time} ${filter.lastMs} ${fixed}`,
    url: () => `/api/tiles/${encodeURIComponent(tile.id)}?${restQuery(meant, now())}`,
    again: filter.at === null && (filter.to === null || filter.to > now()),
  };
}
