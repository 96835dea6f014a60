import type { LucideIcon } from "@lucide/svelte";

/** An icon as the components take it: one of `@lucide/svelte/icons/…`, imported singly. */
export type Icon = LucideIcon;
