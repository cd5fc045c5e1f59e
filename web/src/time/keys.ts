// Receives key presses of the page; gives what the time machine and the help are asked for. Pure.

import { MINUTE_MS } from "./scale";

export type Ask = { readonly step: number } | "play" | "live" | "help";

export interface Press {
  readonly key: string;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
}

/** What a key asks for; null: nothing. */
export function asked(press: Press): Ask | null {
  if (press.ctrlKey || press.altKey || press.metaKey) return null;
  if (press.key === "ArrowLeft" || press.key === "ArrowRight") {
    return { step: (press.key === "ArrowLeft" ? -1 : 1) * (press.shiftKey ? 10 : 1) * MINUTE_MS };
  }
  if (press.key === "?") return "help";
  if (press.shiftKey) return null;
  if (press.key === " ") return "play";
  if (press.key === "l" || press.key === "L") return "live";
  return null;
}

/** Parts that have a use of their own for keys. */
const OWN = {
  any: "input:not([type=range]):not([type=checkbox]), textarea, select, [contenteditable], dialog",
  " ": "button, a, summary, input",
  arrows: "[role=tab], [role=tablist], [role=radio], .maplibregl-canvas, .scroll, input:not([data-time])",
};

/** Whether the part that has the focus keeps this key for itself. */
export function kept(key: string, target: { closest(selector: string): unknown } | null): boolean {
  if (!target) return false;
  if (target.closest(OWN.any)) return true;
  if (key === " ") return target.closest(OWN[" "]) !== null;
  return key.startsWith("Arrow") && target.closest(OWN.arrows) !== null;
}
