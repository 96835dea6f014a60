/** The keys that mean the same everywhere (product.md, "What users expect everywhere"). */

export type Shortcut = "search" | "new" | "save" | "main" | "close";

/** Which shortcut a key press is, if any. */
export function shortcut(event: KeyboardEvent): Shortcut | null {
  if (event.altKey || event.isComposing) return null;
  const control = event.ctrlKey || event.metaKey;
  if (event.key === "Escape" && !control) return "close";
  if (!control || event.shiftKey) return null;
  switch (event.key.toLowerCase()) {
    case "k":
      return "search";
    case "n":
      return "new";
    case "s":
      return "save";
    case "enter":
      return "main";
    default:
      return null;
  }
}

type Handler = () => void;

const stacks = new Map<Shortcut, Handler[]>();

/** Takes a shortcut until the returned function is called; the newest taker gets it. */
export function take(name: Shortcut, handler: Handler): () => void {
  const stack = stacks.get(name) ?? [];
  stacks.set(name, stack);
  stack.push(handler);
  return () => {
    const index = stack.lastIndexOf(handler);
    if (index >= 0) stack.splice(index, 1);
  };
}

/** Hands a key press to whoever has taken its shortcut. */
export function press(event: KeyboardEvent) {
  if (event.defaultPrevented) return;
  const name = shortcut(event);
  if (name === null) return;
  // A dialog closes itself, and keeps what lies below from being saved or begun.
  if (document.querySelector('[role="dialog"], [role="alertdialog"]') !== null) {
    if (name !== "close") event.preventDefault();
    return;
  }
  const handler = stacks.get(name)?.at(-1);
  if (handler === undefined) return;
  event.preventDefault();
  handler();
}
