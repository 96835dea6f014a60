/** Policies and what they do, as tests need them. */
import type { PolicyView } from "../../generated/PolicyView";
import type { Simulation } from "../../generated/Simulation";
import { daysAfter } from "../../components/calendar";
import { NEW } from "./fields";

export function policy(id: number, name: string, more: Partial<PolicyView> = {}): PolicyView {
  return { ...NEW, id, name, credentials: 0, standard: name === "Standard", ...more };
}

/** Fourteen days from a Wednesday, of which the Sundays are open, with a change on the last of them. */
export function simulation(): Simulation {
  const days = Array.from({ length: 14 }, (_, index) => {
    const date = daysAfter("2027-03-03", index);
    const open = index % 7 === 4;
    return { date, window: open ? { opens: at(date, 2), closes: at(date, 4) } : null };
  });
  const due = at("2027-03-10", 12);
  const reason = { kind: "age" as const, days: 7, since: at("2027-03-03", 12) };
  const change = { due, at: at("2027-03-14", 2), overdue_from: at("2027-03-14", 4), reason };
  return { days, changes: [change] };
}

/** A local time. */
export function at(date: string, hour: number): string {
  return new Date(`${date}T${String(hour).padStart(2, "0")}:00:00`).toISOString();
}
