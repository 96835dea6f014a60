/** Which people the list shows. */
import { plain } from "../../app/search";
import type { PersonRow } from "../../generated/PersonRow";

/** The people whom a text and statuses leave. */
export function filtered(rows: readonly PersonRow[], text: string, statuses: readonly string[]): readonly PersonRow[] {
  const words = plain(text).split(/\s+/).filter((word) => word !== "");
  if (words.length === 0 && statuses.length === 0) return rows;
  return rows.filter((row) => {
    if (statuses.length > 0 && !statuses.includes(row.active ? "active" : "inactive")) return false;
    const searched = plain([row.name, row.email ?? "", ...row.credentials].join("\n"));
    return words.every((word) => searched.includes(word));
  });
}

/** The people to whom somebody's credentials can be handed over. */
export function heirs(people: readonly PersonRow[], person: PersonRow): PersonRow[] {
  return people.filter((other) => other.active && other.id !== person.id);
}
