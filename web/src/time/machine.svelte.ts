// Receives the moment that the filter names; gives the map and the lists a fleet of that moment, from the lake.
//
// The filter is what the page follows: while time plays, the machine writes the moment into it once a second.

import { filter } from "../state/filter.svelte";
import { Fleet } from "../state/fleet";
import { live } from "../state/live.svelte";
import { decode, type Frame } from "../wire/frame";
import { read } from "../wire/read";
import type { Places } from "../wire/types";
import { Player, stepOf } from "./player";
import { type Extent, held } from "./scale";

const WRITE_EVERY_MS = 1000;
const SHOW_EVERY_MS = 250;
const EXTENT_EVERY_MS = 15_000;
const PLACES_EVERY_MS = 2000;
const NEAR_NOW_MS = 90_000; // time that plays into the last rows goes over to live
const SNAP_MS = 10_000; // a step that ends so near to now ends in it
const LONGEST_MOVE_S = 12;

const nobody = new Fleet();
const NOWHERE: Places["places"] = { emergency: [], traffic: [], weather: [] };

class TimeMachine {
  /** The fleet of the moment shown; null: live, or the first frame is still to come. */
  fleet = $state.raw<Fleet | null>(null);
  /** The moment shown, four times a second while it plays; null: live. */
  now = $state<number | null>(null);
  /** Vehicles in the last frame. */
  count = $state<number | null>(null);
  waiting = $state(false);
  fault = $state<string | null>(null);
  /** It played to the end of what the lake holds, and stands there. */
  ended = $state(false);
  extent = $state.raw<{ first: number; last: number } | null>(null);
  /** The lake was asked what it holds. */
  looked = $state(false);
  /** Cameras, stations and incidents of the moment; null: not read yet. */
  places = $state.raw<Places["places"] | null>(null);
  #player: Player;
  #placesOf: number | null = null;
  #placesAsked: AbortController | null = null;
  #placesFailed = 0;
  #placesAt = 0;
  #written: number | null = null;
  #scope = "";
  #wroteAt = 0;
  #showedAt = 0;
  #loop = 0;

  constructor() {
    this.#player = new Player(frameAt, {
      frame: (frame, first) => this.#apply(frame, first),
      fault: (why) => {
        this.fault = why;
      },
    });
  }

  /** The vehicles to show: those of now, or of the moment. */
  get vehicles(): Fleet {
    return filter.current.at === null ? live.fleet : (this.fleet ?? nobody);
  }

  /** The moment that the page shows, ms since 1970: now, or one of the past. */
  get moment(): number {
    return filter.current.at === null ? live.now : (this.now ?? filter.current.at);
  }

  /** What stands still at that moment. */
  get standing(): Places["places"] {
    return filter.current.at === null ? live.places : (this.places ?? NOWHERE);
  }

  /** Look after the lake's extent until the returned is called. */
  start(): () => void {
    let timer: ReturnType<typeof setTimeout>;
    const leaving = new AbortController();
    const look = async (): Promise<void> => {
      if (!document.hidden || !this.looked) {
        try {
          const before = this.extent;
          this.extent = held(await read<Record<string, Extent>>("/api/extent", leaving.signal), filter.now());
          this.#player.end = this.extent?.last ?? Infinity;
          this.looked = true;
          // rows of the moment shown may have landed since
          if (before && this.now !== null && this.now > before.last && this.#player.speed === 0) this.#seek(this.now);
        } catch {
          // the last one stays; the link's state says that the server is away
        }
      }
      if (!leaving.signal.aborted) timer = setTimeout(() => void look(), EXTENT_EVERY_MS);
    };
    void look();
    return () => {
      leaving.abort();
      clearTimeout(timer);
      this.#leave();
    };
  }

  /** Be where the filter is: a moment (null: live), a speed, and what else narrows the vehicles. */
  follow(at: number | null, speed: number, scope: string): void {
    if (at === null) {
      this.#leave();
      return;
    }
    this.#player.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const halted = speed === 0 && this.#player.speed > 0;
    if (speed !== this.#player.speed) this.#player.play(speed);
    if (at !== this.#written || scope !== this.#scope) {
      this.#scope = scope;
      this.ended = false;
      this.#seek(at === this.#written ? (this.now ?? at) : at);
      this.#written = at;
      this.now = this.#player.now;
    } else if (halted) this.#seek(at); // the last frame that played may be a step old
    this.waiting = this.#player.waiting;
    if (!this.#loop) this.#step();
  }

  /** Move the moment by `ms`; from live, into the past. */
  step(ms: number): void {
    const from = this.now ?? filter.now();
    const to = from + ms;
    if (to >= filter.now() - SNAP_MS) this.live();
    else this.go(to);
  }

  go(at: number): void {
    filter.set({ at: Math.max(1, Math.round(Math.min(at, filter.now()))) });
  }

  live(): void {
    filter.set({ at: null, speed: 0 });
  }

  /** Play, or stand. From live there is nothing to play: it goes a minute back and plays from there. */
  play(speed: number): void {
    const at = this.now ?? filter.now() - 60_000;
    filter.set({ at: Math.round(at), speed });
    if (this.now !== null) this.#written = Math.round(at); // where it is: no seek
  }

  #seek(at: number): void {
    this.#player.seek(at);
    this.#placesAsked?.abort();
    [this.#placesAsked, this.#placesOf, this.#placesAt] = [null, null, 0];
  }

  #leave(): void {
    cancelAnimationFrame(this.#loop);
    this.#loop = 0;
    this.#player.stop();
    this.#player.play(0);
    this.#written = null;
    this.#placesAsked?.abort();
    [this.#placesAsked, this.#placesOf, this.#placesFailed, this.places] = [null, null, 0, null];
    [this.fleet, this.now, this.count, this.fault, this.waiting, this.ended] = [null, null, null, null, false, false];
  }

  #step(): void {
    this.#loop = requestAnimationFrame(() => this.#step());
    const player = this.#player;
    player.step();
    this.waiting = player.waiting;
    const page = performance.now();
    if (page - this.#showedAt < SHOW_EVERY_MS && player.speed > 0) return;
    this.#showedAt = page;
    this.now = player.now;
    this.#lookAround(this.now);
    if (player.speed === 0 || player.waiting) return;
    const now = filter.now();
    const end = Math.min(now, this.extent?.last ?? now);
    if (this.now >= end) {
      this.ended = now - end >= NEAR_NOW_MS;
      this.#written = this.ended ? end : null;
      if (this.ended) filter.set({ at: end, speed: 0 });
      else this.live();
    } else if (page - this.#wroteAt >= WRITE_EVERY_MS) {
      this.#wroteAt = page;
      this.#written = Math.round(this.now);
      filter.set({ at: this.#written });
    }
  }

  /** Read what stood still then, one request at a time; while time plays, of a moment that is not long past. */
  #lookAround(at: number): void {
    const page = performance.now();
    if (this.#placesAsked || page < this.#placesAt || (this.#placesOf !== null && this.#placesOf === at)) return;
    const asked = new AbortController();
    this.#placesAsked = asked;
    this.#placesAt = page + PLACES_EVERY_MS;
    read<{ places: Places["places"] }>(`/api/places?at=${Math.floor(at)}`, asked.signal)
      .then((answer) => {
        if (this.#placesAsked !== asked) return;
        this.places = answer.places;
        [this.#placesOf, this.#placesFailed] = [at, 0];
      })
      .catch((error: unknown) => {
        if (this.#placesAsked !== asked) return;
        console.info(error); // the last ones stay; the vehicles' fault is told
        this.#placesAt = performance.now() + PLACES_EVERY_MS * 2 ** Math.min(5, this.#placesFailed++);
      })
      .finally(() => {
        if (this.#placesAsked === asked) this.#placesAsked = null;
      });
  }

  #apply(frame: Frame, first: boolean): void {
    const player = this.#player;
    let fleet = this.fleet;
    if (first || !fleet) {
      const epoch = frame.at;
      fleet = new Fleet({ epoch, now: () => (player.now - epoch) / 1000 });
      fleet.keptAfterWhole = 0;
      fleet.smooth = !player.calm;
    }
    fleet.longestMove = Math.max(LONGEST_MOVE_S, (stepOf(player.speed, player.calm) / 1000) * 1.2);
    fleet.apply(frame);
    this.fleet = fleet;
    this.count = frame.count;
  }
}

async function frameAt(at: number, signal: AbortSignal): Promise<Frame> {
  const query = filter.query();
  for (const name of ["from", "to"]) query.delete(name);
  query.set("at", String(at));
  return await read(`/api/frame?${query}`, signal, { take: async (answer) => decode(await answer.arrayBuffer()) });
}

export const machine = new TimeMachine();
