import { BackendError } from "../backend/backend";
import { told } from "../messages/told";

/** An error in the parts that a person reads. */
export interface Explained {
  message: string;
  hint: string | null;
  code: string | null;
  subject: string | null;
}

/** What is known about an error, whatever was thrown. */
export function explained(error: unknown): Explained {
  if (error instanceof BackendError) {
    const { code, subject } = error.report;
    const { message, hint } = told(error.report);
    return { message, hint: hint === "" ? null : hint, code, subject };
  }
  return { message: error instanceof Error ? error.message : String(error), hint: null, code: null, subject: null };
}

/** The details as text for a report. It stays English, as the core says it: whoever helps may not read the user's language. */
export function detailText(error: unknown, details: Record<string, string> = {}): string {
  const { code, subject, message, hint } = error instanceof BackendError ? error.report : explained(error);
  const parts = { code, message, hint, subject, ...details };
  return Object.entries(parts)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}
