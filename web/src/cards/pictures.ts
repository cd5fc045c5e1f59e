// Receives pictures that are known and pictures that were read; gives them as one list, newest first, each once. Pure.

import type { Picture } from "./ask";

export function merged(known: readonly Picture[], read: readonly Picture[]): Picture[] {
  const found = new Map<string, Picture>();
  for (const picture of [...known, ...read]) found.set(`${picture.event_ms} ${picture.url}`, picture);
  return [...found.values()].sort((a, b) => b.event_ms - a.event_ms);
}
