/** The audit's own words for what it names. */
import { t } from "../../messages";

/** The kind of a subject; one that this version does not know is shown as it is stored. */
export function kindName(kind: string): string {
  return t("audit.kind", { kind, raw: kind });
}

/** What else is known of a row, as text; null where nothing is. */
export function detailOf(detail: unknown): string | null {
  if (detail === null || detail === undefined) return null;
  return JSON.stringify(detail, null, 2);
}
