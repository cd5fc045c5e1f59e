// Receives what the link brings; gives the parts one reactive picture of now.

import type { ShownState } from "../text";
import { Link, type LinkState } from "../wire/link";
import { Refused, read } from "../wire/read";
import type { Places, Samples, Status, StreamStatus, VehicleCard } from "../wire/types";
import { filter } from "./filter.svelte";
import { Fleet } from "./fleet";

const CARD_LIMIT_MS = 5000;
const NEVER = new AbortController().signal;

class Live {
  link = $state<LinkState>("connecting");
  retryAt = $state<number | null>(null);
  /** When the server last spoke, by this page's clock. */
  heardAt = $state<number | null>(null);
  status = $state.raw<Status | null>(null);
  samples = $state.raw<Samples["samples"]>({});
  places = $state.raw<Places["places"]>({ emergency: [], traffic: [], weather: [] });
  /** This page's clock, moved on twice a second. */
  now = $state(Date.now());
  /** Grows at most twice a second when vehicles changed. */
  fleetVersion = $state(0);
  /** Vehicles under the last click, when there were several. */
  stack = $state.raw<string[]>([]);
  /** How many there were under it; the stack holds the nearest. */
  stackCount = $state(0);
  card = $state.raw<VehicleCard | null>(null);
  #missing = $state<string | null>(null);
  #followed = $state<string | null>(null);
  /** Someone asked for a vehicle by name: the map brings it into view once. */
  showRequest = $state.raw<{ readonly id: string } | null>(null);

  readonly fleet = new Fleet();
  #link: Link;

  constructor() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.#link = new Link(`${scheme}//${location.host}/ws`, {
      frame: (frame) => {
        this.heardAt = Date.now();
        this.fleet.apply(frame);
        if (frame.whole) this.fleetVersion = this.fleet.version; // nobody waits for the clock to see the first vehicles
      },
      message: (message) => {
        this.heardAt = Date.now();
        if (message.kind === "status") this.status = message;
        else if (message.kind === "quarantine") this.samples = message.samples;
        else if (message.kind === "places") this.places = message.places;
      },
      state: (state, retryAt) => {
        this.link = state;
        this.retryAt = retryAt;
      },
    });
  }

  start(): void {
    const calm = matchMedia("(prefers-reduced-motion: reduce)");
    this.fleet.smooth = !calm.matches;
    calm.addEventListener("change", () => {
      this.fleet.smooth = !calm.matches;
    });
    this.#link.open();
    if (this.selected && filter.current.at === null) void this.#read(this.selected);
    setInterval(() => {
      this.now = Date.now();
      if (this.fleet.version !== this.fleetVersion) this.fleetVersion = this.fleet.version;
    }, 500);
    setInterval(() => {
      if (this.selected && this.link === "open" && filter.current.at === null) void this.#read(this.selected);
    }, 2000);
  }

  retryNow(): void {
    this.#link.open();
  }

  get connected(): boolean {
    return this.link === "open" && this.status !== null;
  }

  /** Age of what is shown, in seconds; null before anything was heard. */
  get age(): number | null {
    return this.heardAt === null ? null : Math.max(0, (this.now - this.heardAt) / 1000);
  }

  shown(stream: StreamStatus): ShownState {
    return this.link === "open" ? stream.state : "disconnected";
  }

  /** The vehicle that is picked, as the address says. */
  get selected(): string | null {
    const { pick } = filter.current;
    return pick?.kind === "vehicle" ? pick.id : null;
  }

  /** The page has not heard of the picked vehicle. */
  get cardMissing(): boolean {
    return this.#missing !== null && this.#missing === this.selected;
  }

  get following(): boolean {
    return this.#followed !== null && this.#followed === this.selected;
  }

  set following(on: boolean) {
    this.#followed = on ? this.selected : null;
  }

  /** Pick a vehicle; null: nothing is picked any more, be it a vehicle or not. */
  select(id: string | null): void {
    if (id !== this.selected) this.card = null;
    filter.set({ pick: id === null ? null : { kind: "vehicle", id } });
    if (id && filter.current.at === null) void this.#read(id);
    if (id === null) this.stack = [];
  }

  /** Select a vehicle and bring it into view. */
  choose(id: string): void {
    this.select(id);
    this.showRequest = { id };
  }

  async #read(id: string): Promise<void> {
    try {
      const path = `/api/vehicles/${encodeURIComponent(id)}`;
      const card = await read<VehicleCard>(path, NEVER, { limitMs: CARD_LIMIT_MS });
      if (this.selected !== id) return;
      this.card = card;
      this.#missing = null;
    } catch (error) {
      // of a server that is away the link's state tells; the card keeps what it has
      if (error instanceof Refused && error.status === 404 && this.selected === id) this.#missing = id;
    }
  }
}

export const live = new Live();
