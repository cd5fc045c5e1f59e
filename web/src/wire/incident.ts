// Receives an incident's newest row; says whether it is still open, as `dashboard/places.py` does.

import type { Incident } from "./types";

const OVER = new Set(["Resolved", "Cleared"]);

export function isOpen(incident: Incident): boolean {
  return !OVER.has(incident.status ?? "");
}
