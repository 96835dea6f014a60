import { createContext } from "svelte";

import type { Backend } from "./backend";

/** The door to Rust for whatever is drawn below `App`. */
export const [getBackend, setBackend] = createContext<Backend>();
