import { BackendError } from "../backend/backend";

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
    const { message, hint, code, subject } = error.report;
    return { message, hint: hint === "" ? null : hint, code, subject };
  }
  return { message: error instanceof Error ? error.message : String(error), hint: null, code: null, subject: null };
}

/** The details as text for a report. The names of the parts stay English: whoever helps may not read the user's language. */
export function detailText(error: Explained, details: Record<string, string> = {}): string {
  const parts = { code: error.code, message: error.message, hint: error.hint, subject: error.subject, ...details };
  return Object.entries(parts)
    .filter(([, value]) => value !== null && value !== "")
    .map(([name, value]) => `${name}: ${value}`)
    .join("\n");
}
