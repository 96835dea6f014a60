import { render } from "@testing-library/svelte";
import type { Component } from "svelte";

import type { Backend } from "../../backend/backend";
import TestHost from "./TestHost.svelte";

/** Draws a component with a backend behind it: for tests only. */
export function shown<Properties extends Record<string, unknown>>(
  of: Component<Properties>,
  properties: Properties,
  backend: Backend,
) {
  return render(TestHost, { backend, of: of as unknown as Component<Record<string, unknown>>, properties });
}
