import type { Backend } from "./backend";

/** A backend for component tests: every call that the test does not name fails loudly. */
export function fakeBackend(calls: Partial<Backend>): Backend {
  const unexpected = (name: string) => () => Promise.reject(new Error(`the test did not expect the call ${name}`));
  return {
    about: calls.about ?? unexpected("about"),
  };
}
