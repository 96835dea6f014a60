import { getContext, setContext } from "svelte";

/** Puts a text on the clipboard. */
export type Copy = (text: string) => void | Promise<void>;

const KEY = Symbol("copy");

/** Says once, for all components below, how a text is put on the clipboard. */
export function provideCopy(copy: Copy): void {
  setContext(KEY, copy);
}

/** How texts are copied here; where nobody said so, by the web view itself. */
export function copier(): Copy {
  return getContext<Copy | undefined>(KEY) ?? ((text) => navigator.clipboard.writeText(text));
}
