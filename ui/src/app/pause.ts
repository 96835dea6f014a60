/** Whether automatic changes are paused, read from the setting. */
import type { SettingView } from "../generated/SettingView";

export const PAUSE = "pause-automatic-changes";

/** A pause: until the end of a day (`2026-12-24`), or until it is switched off. */
export interface Pause {
  until: string | null;
}

/** The pause that the setting's value means today; null where there is none. */
export function pauseOf(value: string | undefined, today: string): Pause | null {
  if (value === undefined || value === "off") return null;
  if (value === "on") return { until: null };
  // Days as text sort as days.
  return isDay(value) && value >= today ? { until: value } : null;
}

/** The pause that is set. */
export function pauseIn(settings: readonly SettingView[], today: string): Pause | null {
  return pauseOf(settings.find((setting) => setting.name === PAUSE)?.value, today);
}

/** Whether a text is a day that exists, as `2026-12-24`. */
export function isDay(text: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const time = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(text);
}

/** The local day of a moment, as `2026-12-24`. */
export function dayOf(moment: Date): string {
  const two = (number: number) => String(number).padStart(2, "0");
  return `${String(moment.getFullYear()).padStart(4, "0")}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`;
}
