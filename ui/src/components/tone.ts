import CircleAlert from "@lucide/svelte/icons/circle-alert";
import CircleCheck from "@lucide/svelte/icons/circle-check";
import Info from "@lucide/svelte/icons/info";
import Loader from "@lucide/svelte/icons/loader-circle";
import Minus from "@lucide/svelte/icons/minus";
import TriangleAlert from "@lucide/svelte/icons/triangle-alert";

import type { Icon } from "./icon";

/** What a state means to who looks at it. Colour is never the only sign: each has an icon, and a word beside it. */
export type Tone = "good" | "attention" | "danger" | "neutral" | "busy";

export const TONE_ICONS: Record<Tone, Icon> = {
  good: CircleCheck,
  attention: TriangleAlert,
  danger: CircleAlert,
  neutral: Minus,
  busy: Loader,
};

/** A message is no state: a neutral one informs. */
export const NOTICE_ICONS: Record<Tone, Icon> = { ...TONE_ICONS, neutral: Info };
