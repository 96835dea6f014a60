import { configure } from "@testing-library/svelte";

// How long a test waits for what it expects: long, since a busy machine must not fail a test that works.
configure({ asyncUtilTimeout: 30_000 });

/** What jsdom lacks of a page and the components ask for: a window with a size, in which everything is in sight. */
const WINDOW = { clientWidth: 1280, clientHeight: 800 };
const IN_SIGHT = { x: 8, y: 8, left: 8, top: 8, right: 168, bottom: 40, width: 160, height: 32 };

class NoResizes implements ResizeObserver {
  observe() {}
  unobserve() {}
  disconnect() {}
}

for (const [name, value] of Object.entries(WINDOW)) {
  Object.defineProperty(document.documentElement, name, { configurable: true, value });
}
const rect = (): DOMRect => ({ ...IN_SIGHT, toJSON: () => IN_SIGHT });
Element.prototype.getBoundingClientRect = rect;
Element.prototype.getClientRects = () => Object.assign([rect()], { item: rect });
globalThis.ResizeObserver ??= NoResizes;
Element.prototype.scrollIntoView ??= () => undefined;
Element.prototype.hasPointerCapture ??= () => false;
Element.prototype.releasePointerCapture ??= () => undefined;
