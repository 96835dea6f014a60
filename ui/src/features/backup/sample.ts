/** For tests: backups as Rust tells of them. */
import type { BackupCreated } from "../../generated/BackupCreated";
import type { BackupStanding } from "../../generated/BackupStanding";
import type { RestorePreview } from "../../generated/RestorePreview";

export function standing(more: Partial<BackupStanding> = {}): BackupStanding {
  return { last: null, path: null, lacks: 0, automatic: false, failed: null, ...more };
}

export const CREATED: BackupCreated = {
  file: "/media/stick/vault.age",
  bytes: 200_000,
  secrets: 3,
  missing: [],
  proof: "opened",
};

export function preview(more: Partial<RestorePreview> = {}): RestorePreview {
  return {
    file: "/media/stick/vault.age",
    created: "2026-11-24T08:00:00Z",
    actor: "ana@desk",
    into: "same",
    people: [],
    devices: [
      { name: "web-1", comparison: "same" },
      { name: "db-1", comparison: "new" },
    ],
    credentials: [{ name: "deploy", comparison: "differs" }],
    key_versions: 0,
    secrets: { new: 1, same: 2, left: 0 },
    newer_here: [],
    without_secret: [],
    ...more,
  };
}
