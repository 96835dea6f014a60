/** A time as a person types it, read as the local one. */

export type Moment = { at: Date } | { at: null; why: "unreadable" | "past" };

/** Reads `22:00` (the next such time) or `2026-11-25 22:00`. An hour that a switch of the clock skips counts as the one after it. */
export function momentOf(text: string, now: Date): Moment {
  const parts = /^(?:(\d{4})-(\d{2})-(\d{2})[ T]+)?(\d{1,2}):(\d{2})$/.exec(text.trim());
  const [, year, month, day, hour, minute] = parts ?? [];
  if (hour === undefined || minute === undefined || Number(hour) > 23 || Number(minute) > 59) return unreadable;
  if (year === undefined || month === undefined || day === undefined) {
    const today = new Date(now.getFullYear(), now.getMonth(), now.getDate(), Number(hour), Number(minute));
    if (today > now) return { at: today };
    return { at: new Date(now.getFullYear(), now.getMonth(), now.getDate() + 1, Number(hour), Number(minute)) };
  }
  const at = new Date(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute));
  // The 31st of a month with thirty days would be taken for the first of the next.
  if (at.getMonth() !== Number(month) - 1 || at.getDate() !== Number(day)) return unreadable;
  return at > now ? { at } : { at: null, why: "past" };
}

const unreadable: Moment = { at: null, why: "unreadable" };
