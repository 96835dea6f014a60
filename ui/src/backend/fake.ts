import type { Backend } from "./backend";

/** A backend for component tests: every call that the test does not name fails loudly. */
export function fakeBackend(calls: Partial<Backend> = {}): Backend {
  return new Proxy(calls as Backend, {
    get(target, name) {
      if (name in target) return Reflect.get(target, name) as unknown;
      // A promise would be taken for one by `await`, if it answered to `then`.
      if (name === "then" || typeof name === "symbol") return undefined;
      return () => Promise.reject(new Error(`the test did not expect the call ${name}`));
    },
  });
}
