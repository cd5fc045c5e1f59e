// Receives a vehicle's type as its stream says it; gives the map one of a few kinds, each with a colour and a shape.

import type { Theme } from "../state/prefs.svelte";

/** In the order of their numbers in the map's buffer; the shader draws a shape for each. */
export const KINDS = ["car", "van", "truck", "bus", "motorcycle", "emergency", "other"] as const;
export type Kind = (typeof KINDS)[number];

const WORDS: readonly (readonly [RegExp, Kind])[] = [
  [/ambulance|police|fire|emergency/, "emergency"],
  [/motor.?(bike|cycle)|bike|bicycle|scooter/, "motorcycle"],
  [/bus|coach|tram/, "bus"],
  [/truck|lorry|hgv|recovery|freight/, "truck"],
  [/van/, "van"],
  [/car|taxi|private|saloon|estate|suv/, "car"],
];
const known = new Map<string, number>();

/** The number of a type's kind; `other` for types that say nothing of the kind. */
export function kindOf(type: string): number {
  let found = known.get(type);
  if (found === undefined) {
    const lower = type.toLowerCase();
    const kind = WORDS.find(([pattern]) => pattern.test(lower))?.[1] ?? "other";
    found = KINDS.indexOf(kind);
    if (known.size < 1000) known.set(type, found);
  }
  return found;
}

/** After Okabe and Ito: told apart by colour-blind eyes; the shapes tell them apart without any colour. */
export const KIND_COLORS: Record<Theme, readonly string[]> = {
  dark: ["#56b4e9", "#e69f00", "#f0e442", "#1fb58a", "#cc79a7", "#ff7a3c", "#a9b4bd"],
  light: ["#0072b2", "#9a6a00", "#33302b", "#00795a", "#a34b7f", "#b84a00", "#687784"],
};
