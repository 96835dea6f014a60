/** What the planned edits of many devices have in common: hundreds of equal diffs are read as one. */
import type { FileDiff } from "../../generated/FileDiff";
import type { Found } from "./checks";

/** Devices whose files change in the same way. */
export interface DiffGroup {
  devices: readonly number[];
  /** The lines that are written or taken out. */
  lines: number;
  /** Whether every written line has options, and the same ones. */
  options: "same" | "none" | "various";
}

/** The groups, the largest first; devices where nothing is to be written are in none. */
export function groupDiffs(findings: readonly Found[]): DiffGroup[] {
  const groups = new Map<string, { devices: number[]; shapes: Line[] }>();
  for (const finding of findings) {
    const lines = finding.files.flatMap(changedLines);
    if (lines.length === 0) continue;
    const shape = JSON.stringify(lines);
    const group = groups.get(shape);
    if (group === undefined) groups.set(shape, { devices: [finding.id], shapes: lines });
    else group.devices.push(finding.id);
  }
  return [...groups.values()]
    .map(({ devices, shapes }) => ({ devices, lines: shapes.length, options: optionsOf(shapes) }))
    .sort((a, b) => b.devices.length - a.devices.length);
}

interface Line {
  mark: "+" | "-";
  options: string;
}

function optionsOf(lines: readonly Line[]): DiffGroup["options"] {
  const all = new Set(lines.map((line) => line.options));
  if (all.size > 1) return "various";
  return all.has("") ? "none" : "same";
}

/** The lines of a unified diff that are not as before, without what differs on every device: the key, its comment. */
function changedLines(file: FileDiff): Line[] {
  const lines: Line[] = [];
  let inHunk = false;
  for (const line of file.diff.split("\n")) {
    if (line.startsWith("@@")) inHunk = true;
    if (!inHunk || (!line.startsWith("+") && !line.startsWith("-"))) continue;
    lines.push({ mark: line.startsWith("+") ? "+" : "-", options: keyOptions(line.slice(1)) });
  }
  return lines;
}

/** What stands before the key type in a line of authorized_keys, as sshd splits it: blanks in quotes don't end it. */
export function keyOptions(line: string): string {
  const text = line.trimStart();
  const end = endOfWord(text);
  return isKeyType(text.slice(0, end)) ? "" : text.slice(0, end);
}

function endOfWord(text: string): number {
  let quoted = false;
  for (let index = 0; index < text.length; index++) {
    const letter = text.charAt(index);
    if (letter === "\\" && text.charAt(index + 1) === '"') index += 1;
    else if (letter === '"') quoted = !quoted;
    else if (!quoted && (letter === " " || letter === "\t")) return index;
  }
  return text.length;
}

function isKeyType(word: string): boolean {
  return /^(ssh-|ecdsa-sha2-|sk-)/.test(word);
}
