import { onDestroy } from "svelte";

import { notices } from "./notices.svelte";

/** Something that Rust is asked for, asked again whenever the catalogue changes; called while a component is made. */
export class Loaded<Value> {
  /** The newest answer; the one before stays while the next is awaited, so that nothing flickers. */
  value = $state.raw<Value | null>(null);
  /** Why the newest question went without an answer. */
  error = $state.raw<unknown>(null);
  #ask: () => Promise<Value>;
  #asked = 0;

  constructor(ask: () => Promise<Value>) {
    this.#ask = ask;
    onDestroy(notices.on("catalogue", () => void this.again()));
    onDestroy(() => {
      // An answer that comes after the component is gone is nobody's.
      this.#asked += 1;
    });
    void this.again();
  }

  /** Asks again. */
  async again(): Promise<void> {
    const asked = ++this.#asked;
    try {
      const value = await this.#ask();
      if (asked !== this.#asked) return;
      this.value = value;
      this.error = null;
    } catch (error) {
      if (asked === this.#asked) this.error = error;
    }
  }
}
