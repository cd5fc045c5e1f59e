// Receives what the viewer chooses and the address of the page; keeps the two the same and gives every part one filter.
//
//   filter.current            what is looked at now (a Filter, see address.ts); never change it in place
//   filter.set({ at: ms })    change some of it: the address follows within a moment, without an entry in the history
//   filter.go("explore")      another view: an entry in the browser's history; back and forward bring everything back
//   filter.toggle(column, v)  a click on a bar, slice or row; again: no longer
//   filter.clear()            no area, stream, cell or values; time, map and view stay
//   filter.query()            parameters for the REST calls, as of now: ask for it anew with every request
//   filter.link({ view })     the address of the page with that changed, for links

import { type Filter, narrows, type PageView, readAddress, restQuery, toggled, writeAddress } from "./address";

export type { Filter, PageView, Pick } from "./address";

const WRITE_AFTER_MS = 250; // while a map moves or time plays; browsers refuse more than some hundred in a minute

/** The browser, or what a test gives in its place. */
interface Browser {
  readonly location: Pick<Location, "search" | "pathname" | "hash">;
  readonly history: Pick<History, "replaceState" | "pushState" | "state">;
  addEventListener(name: "popstate" | "pagehide", told: () => void): void;
}

export class Filters {
  current = $state.raw<Filter>() as Filter;
  /** Now, by the server's clock, ms since 1970. */
  now: () => number = Date.now;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly browser: Browser) {
    this.current = readAddress(browser.location.search);
    browser.addEventListener("popstate", () => {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.current = readAddress(browser.location.search);
    });
    browser.addEventListener("pagehide", () => this.flush());
  }

  set(patch: Partial<Filter>): void {
    const next = { ...this.current, ...patch };
    if (next.at === null) next.speed = 0;
    this.current = next;
    this.#timer ??= setTimeout(() => this.flush(), WRITE_AFTER_MS);
  }

  /** Show another view. */
  go(view: PageView): void {
    if (view === this.current.view) return;
    this.flush();
    this.current = { ...this.current, view };
    this.browser.history.pushState(null, "", this.link({}));
  }

  toggle(column: string, value: string): void {
    if (column === "stream") this.set({ stream: this.current.stream === value ? null : value });
    else this.set({ where: toggled(this.current.where, column, value) });
  }

  clear(): void {
    this.set({ area: null, stream: null, where: {}, cell: null });
  }

  query(): URLSearchParams {
    return restQuery(this.current, this.now());
  }

  /** Rows up to now are meant, and they grow. */
  get live(): boolean {
    return this.current.at === null && this.current.from === null;
  }

  get narrows(): boolean {
    return narrows(this.current);
  }

  link(patch: Partial<Filter>): string {
    const query = writeAddress(this.browser.location.search, { ...this.current, ...patch });
    return `${this.browser.location.pathname}${query ? `?${query}` : ""}${this.browser.location.hash}`;
  }

  /** Write what waits into the address now. */
  flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.browser.history.replaceState(this.browser.history.state, "", this.link({}));
  }
}

export const filter = new Filters(typeof window === "undefined" ? absent() : window);

/** Where there is no browser, as in tests of the parts: an address that nobody sees. */
function absent(): Browser {
  return {
    location: { search: "", pathname: "/", hash: "" },
    history: { state: null, replaceState: () => undefined, pushState: () => undefined },
    addEventListener: () => undefined,
  };
}
