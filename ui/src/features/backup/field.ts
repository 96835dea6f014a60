import { BackendError } from "../../backend/backend";

/** The field of a form that an error is about, if it is about one. */
export function fieldOf(error: unknown): string | null {
  return error instanceof BackendError ? (error.report.field ?? null) : null;
}
