// Receives what the viewer chose; keeps it in this browser and gives it to every part.

import type { Zone } from "../format";

export type Theme = "dark" | "light";

function stored<T extends string>(key: string, allowed: readonly T[], fallback: T): T {
  try {
    const value = localStorage.getItem(key) as T | null;
    return value !== null && allowed.includes(value) ? value : fallback;
  } catch {
    return fallback; // storage may be switched off
  }
}

function store(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // the choice then lasts as long as the page
  }
}

class Prefs {
  theme = $state<Theme>(
    stored("theme", ["dark", "light"], matchMedia("(prefers-color-scheme: light)").matches ? "light" : "dark"),
  );
  zone = $state<Zone>(stored("zone", ["utc", "london"], "utc"));
  /** Single keys act on the page. */
  keys = $state(stored("keys", ["on", "off"], "on") === "on");

  setTheme(theme: Theme): void {
    this.theme = theme;
    document.documentElement.dataset.theme = theme;
    store("theme", theme);
  }

  setKeys(on: boolean): void {
    this.keys = on;
    store("keys", on ? "on" : "off");
  }

  setZone(zone: Zone): void {
    this.zone = zone;
    store("zone", zone);
  }
}

export const prefs = new Prefs();
