/** For tests: rows of the audit, and a backend that leafs through them. */
import type { AuditFilter } from "../../generated/AuditFilter";
import type { AuditRecord } from "../../generated/AuditRecord";

export function record(id: number, more: Partial<AuditRecord> = {}): AuditRecord {
  return {
    id,
    at: "2026-11-24T12:00:00Z",
    actor: "ana@desk",
    action: "device-add",
    subject_kind: "device",
    subject: `web-${id}`,
    result: "ok",
    code: null,
    detail: { address: "192.0.2.1" },
    hash: `hash${id}`,
    ...more,
  };
}

/** So many rows, newest first. */
export function records(count: number): AuditRecord[] {
  return Array.from({ length: count }, (_, index) => record(count - index));
}

export function served(all: readonly AuditRecord[]) {
  return async ({ search, before, limit }: AuditFilter): Promise<AuditRecord[]> =>
    all
      .filter((row) => before === null || row.id < before)
      .filter((row) => search === "" || [row.action, row.subject].some((text) => text?.includes(search)))
      .slice(0, limit);
}
