import { render } from "@testing-library/svelte";
import type { Component } from "svelte";

import type { Backend } from "../../backend/backend";
import WithBackend from "../../backend/WithBackend.svelte";

/** Draws a component with a backend behind it: for tests only. */
export function shown<Properties extends Record<string, unknown>>(
  of: Component<Properties>,
  properties: Properties,
  backend: Backend,
) {
  return render(WithBackend, { backend, view: of as unknown as Component<never>, given: properties });
}
