import { createSubscriber } from "svelte/reactivity";

/** How often relative times are said anew. */
const STEP = 30_000;

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, STEP);
  return () => clearInterval(timer);
});

/** The present, for a view that is drawn anew as it goes by; one clock for all of them. */
export function now(): Date {
  subscribe();
  return new Date();
}
