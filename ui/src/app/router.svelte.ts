/** Which screen is shown: the hash of the address, so that Back works and a link is a real link. */

/** The screens in the order of the sidebar. */
export const SCREENS = ["overview", "credentials", "devices", "people", "changes", "policies", "audit", "settings"] as const;

export type Screen = (typeof SCREENS)[number];

/** A place in the program. */
export interface Route {
  screen: Screen;
  /** The thing whose page lies over the screen's list. */
  id: number | null;
  /** What of it is shown or done: `#/credentials/3/edit`, `#/devices/new`. */
  action: string | null;
  /** Filters and the like: `#/credentials?state=interrupted`. */
  query: Record<string, string>;
}

/** The address of a place. */
export function href(screen: Screen, id?: number | null, action?: string | null, query?: Record<string, string>): string {
  const path = ["#", screen, id ?? null, action ?? null].filter((part) => part !== null).join("/");
  const search = new URLSearchParams(query).toString();
  return search === "" ? path : `${path}?${search}`;
}

/** Reads an address; what is not a place is the overview. */
export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first = "", ...rest] = path.split("/").filter((part) => part !== "");
  const screen = SCREENS.find((known) => known === first);
  if (screen === undefined) return { screen: "overview", id: null, action: null, query: {} };
  const [second, third] = rest;
  const id = second !== undefined && /^\d+$/.test(second) ? Number(second) : null;
  const action = (id === null ? second : third) ?? null;
  return { screen, id, action, query: Object.fromEntries(new URLSearchParams(search)) };
}

/** Whether what is shown may be left; answers no to stay. */
export type Guard = () => Promise<boolean> | boolean;

class Router {
  route = $state<Route>(parse(""));
  #guard: Guard | null = null;
  #shown = "";

  /** Begins to follow the address. */
  start(): () => void {
    const follow = () => void this.#follow(window.location.hash);
    window.addEventListener("hashchange", follow);
    this.#shown = window.location.hash;
    this.route = parse(this.#shown);
    return () => window.removeEventListener("hashchange", follow);
  }

  /** Goes to a place, if what is shown may be left. */
  go(screen: Screen, id?: number | null, action?: string | null, query?: Record<string, string>) {
    window.location.hash = href(screen, id, action, query);
  }

  /** Goes to a place that takes the shown one's place in the history: after "Save", Back must not lead into the form. */
  replace(screen: Screen, id?: number | null, action?: string | null, query?: Record<string, string>) {
    const hash = href(screen, id, action, query);
    window.history.replaceState(null, "", hash);
    this.#shown = hash;
    this.route = parse(hash);
  }

  /** Asks before what is shown is left, until the returned function is called. */
  guard(guard: Guard): () => void {
    this.#guard = guard;
    return () => {
      if (this.#guard === guard) this.#guard = null;
    };
  }

  /** Whether what is shown may be left now: for what leaves it by another way than the address. */
  async mayLeave(): Promise<boolean> {
    return this.#guard === null || (await this.#guard());
  }

  async #follow(hash: string) {
    if (hash === this.#shown) return;
    const guard = this.#guard;
    if (guard !== null) {
      // The address has changed already; it is put back while the question stands.
      window.history.replaceState(null, "", this.#shown === "" ? "#/overview" : this.#shown);
      if (!(await guard())) return;
      this.#guard = null;
      window.history.pushState(null, "", hash);
    }
    this.#shown = hash;
    this.route = parse(hash);
  }
}

export const router = new Router();
