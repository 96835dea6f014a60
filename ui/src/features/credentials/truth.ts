/** What each device of a credential is known to accept, by what is on record and by what it has just answered. */
import type { Accepts } from "../../generated/Accepts";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { DeviceFinding } from "../../generated/DeviceFinding";
import type { Report } from "../../generated/Report";

export type Answer = "accepted" | "refused" | "unknown";

/** What one device says of one key version. */
export interface VersionAnswer {
  version: number;
  current: boolean;
  answer: Answer;
  /** Whether a question alone said so, without a login. */
  byQuestion: boolean;
}

/** A device of the page. */
export interface DeviceLine {
  id: number;
  name: string;
  /** Its place in the order of change; null where a key still stands on it but it is the credential's no more. */
  order: number | null;
  original: boolean;
  enabled: boolean;
  /** Newest version first. */
  versions: VersionAnswer[];
  /** When the current version was last accepted by a login. */
  proven: string | null;
  /** Why it could not be asked just now. */
  notAsked: Report | null;
}

/** What the devices answered when they were asked. */
export interface Asked {
  at: string;
  answers: readonly Accepts[];
}

/** The devices in the order of change, then those on which a key still stands. */
export function lines(details: CredentialDetails, asked: Asked | null): DeviceLine[] {
  const { credential, truth } = details;
  const current = credential.key_versions.find((version) => version.state === "current")?.version ?? null;
  const known = new Map(truth.map((device) => [device.device_id, device]));
  const answers = new Map(asked?.answers.map((answer) => [answer.device, answer]) ?? []);
  const line = (id: number, name: string, order: number | null): DeviceLine => {
    const device = known.get(id);
    const recorded = device?.versions ?? [];
    const latest = recorded.reduce((time, version) => Math.max(time, version.at === null ? 0 : Date.parse(version.at)), 0);
    // What is on record since the question, such as a change's proof, is the newer truth.
    const fresh = asked !== null && latest <= Date.parse(asked.at) ? answers.get(name) : undefined;
    let proven = recorded.find((version) => version.version === current && version.answer === "accepted")?.at ?? null;
    let versions: VersionAnswer[] = recorded
      .filter((version) => version.state !== "destroyed" || version.answer === "accepted")
      .map((version) => ({
        version: version.version,
        current: version.version === current,
        answer: version.answer,
        byQuestion: false,
      }));
    if (fresh !== undefined && fresh.error === null) {
      versions = fresh.versions.map((version) => ({
        version: version.version,
        current: version.version === current,
        answer: answerOf(version.answer),
        byQuestion: version.by === "question",
      }));
      const now = fresh.versions.find((version) => version.version === current);
      if (now?.answer === "accepted" && now.by === "login") proven = asked?.at ?? null;
    }
    return {
      id,
      name,
      order,
      original: id === credential.original_device_id,
      enabled: device?.enabled ?? true,
      versions: versions.sort((a, b) => b.version - a.version),
      proven,
      notAsked: fresh?.error ?? null,
    };
  };
  const listed = credential.device_ids.map((id, index) => line(id, credential.devices[index] ?? String(id), index + 1));
  const others = new Set(credential.device_ids);
  return [
    ...listed,
    ...truth.filter((device) => !others.has(device.device_id)).map((device) => line(device.device_id, device.device, null)),
  ];
}

/** A device's answers by themselves, for a page that has no record of it: the key with this fingerprint is the one it should accept. */
export function answered(answer: Accepts, current: string | null): DeviceLine {
  return {
    id: answer.device_id,
    name: answer.device,
    order: null,
    original: false,
    enabled: true,
    versions: answer.versions.map((version) => ({
      version: version.version,
      current: version.fingerprint === current,
      answer: answerOf(version.answer),
      byQuestion: version.by === "question",
    })),
    proven: null,
    notAsked: answer.error,
  };
}

function answerOf(word: string): Answer {
  return word === "accepted" || word === "refused" ? word : "unknown";
}

/** How well a line stands, for the column's order: those that need a look first. */
export function concern(line: DeviceLine): number {
  const current = line.versions.find((version) => version.current);
  if (line.notAsked !== null) return 0;
  if (current === undefined || current.answer !== "accepted") return current?.answer === "refused" ? 1 : 2;
  return line.versions.some((version) => !version.current && version.answer === "accepted") ? 3 : 4;
}

/** What kept devices from something: a device with its reports. */
export interface Trouble {
  device: number;
  name: string;
  reports: Report[];
}

/** What a check has found so far. */
export interface Findings {
  ready: number;
  notReady: number;
  troubles: Trouble[];
}

/** Sums the findings up: the devices that are not ready first, then those with a warning; each in the order given. */
export function summed(findings: readonly DeviceFinding[]): Findings {
  const notReady = findings.filter(({ finding }) => !finding.ready);
  const warned = findings.filter(({ finding }) => finding.ready && finding.warnings.length > 0);
  const trouble = ({ device_id, finding }: DeviceFinding): Trouble => ({
    device: device_id,
    name: finding.device,
    reports: [...finding.problems, ...finding.warnings],
  });
  return {
    ready: findings.length - notReady.length,
    notReady: notReady.length,
    troubles: [...notReady, ...warned].map(trouble),
  };
}
