import { screen, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { ProofVerdict } from "../../generated/ProofVerdict";
import type { ProofVerified } from "../../generated/ProofVerified";
import type { ReportWritten } from "../../generated/ReportWritten";
import { catalogue } from "../../messages/catalogue.svelte";
import AuditScreen from "../audit/AuditScreen.svelte";
import { records, served } from "../audit/sample";
import { shown } from "../changes/shown";
import { view } from "../changes/testing";
import SaveProof from "./SaveProof.svelte";
import { Reports } from "./reports.svelte";

afterEach(() => catalogue.choose("en"));

const withoutContrast = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };
const file: ReportWritten = { file: "/home/ana/report", sha256: "abc123" };

async function open(more: Partial<Backend>) {
  const audit = vi.fn(served(records(2)));
  const copy = vi.fn(async () => undefined);
  const drawn = shown(AuditScreen, {}, fakeBackend({ audit, copy, ...more }));
  await screen.findByRole("row", { name: /web-2/ });
  return { audit, copy, ...drawn };
}

async function choose(item: string, menu = "Reports") {
  const user = userEvent.setup();
  await user.click(screen.getByRole("button", { name: menu }));
  await user.click(await screen.findByRole("menuitem", { name: item }));
}

test.each(["html", "csv", "json"] as const)("the fleet report as %s says where it is, and its row comes into the audit", async (format) => {
  const writeFleetReport = vi.fn<Backend["writeFleetReport"]>(async () => file);
  const { audit, copy, container } = await open({ writeFleetReport });
  await choose(`Fleet report (${format.toUpperCase()})`);
  expect(await screen.findByText("The fleet report is written")).toBeTruthy();
  expect(writeFleetReport).toHaveBeenCalledExactlyOnceWith(format);
  expect(screen.getByText("abc123")).toBeTruthy();
  await vi.waitFor(() => expect(audit).toHaveBeenCalledTimes(2));
  await userEvent.setup().click(screen.getByRole("button", { name: "Copy path" }));
  expect(copy).toHaveBeenCalledWith("/home/ana/report");
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("where no file was chosen nothing is said", async () => {
  const writeFleetReport = vi.fn<Backend["writeFleetReport"]>(async () => null);
  await open({ writeFleetReport });
  await choose("Fleet report (CSV)");
  await vi.waitFor(() => expect(screen.getByRole<HTMLButtonElement>("button", { name: "Reports" }).disabled).toBe(false));
  expect(writeFleetReport).toHaveBeenCalledOnce();
  expect(screen.queryByText(/is written/)).toBeNull();
});

test("a proof is asked for by change and form, and a change under way is not offered", async () => {
  const user = userEvent.setup();
  const writeProof = vi.fn<Backend["writeProof"]>(async () => file);
  const changes = async () => [
    view({ id: 9, state: "running" }),
    view({ id: 8, state: "scheduled" }),
    view({ id: 7, state: "changed", ended: "2026-11-24T12:01:00Z" }),
  ];
  await open({ writeProof, changes });
  await choose("Proof of a change…");
  const dialog = await screen.findByRole("dialog", { name: "Proof of a change" });
  expect((await axe.run(dialog, withoutContrast)).violations).toEqual([]);
  await user.click(within(dialog).getByRole("button", { name: "Choose file…" }));
  expect(await within(dialog).findByText("Choose a change.")).toBeTruthy();
  expect(writeProof).not.toHaveBeenCalled();
  await user.click(within(dialog).getByRole("combobox", { name: "Change" }));
  const options = await screen.findAllByRole("option");
  expect(options.map((option) => option.textContent)).toEqual([expect.stringContaining("7: deploy")]);
  await user.click(options[0] as HTMLElement);
  await user.click(within(dialog).getByRole("radio", { name: "JSON, for programs" }));
  await user.click(within(dialog).getByRole("button", { name: "Choose file…" }));
  expect(await screen.findByText("The proof of change 7 is written")).toBeTruthy();
  expect(writeProof).toHaveBeenCalledExactlyOnceWith(7, "json");
});

const right: ProofVerdict = {
  proof: "right",
  change: 7,
  credential: "deploy",
  outcome: "changed",
  written: "2026-11-24T12:00:00.000Z",
  row: 1234,
  anchored: true,
  gone_on: false,
};
const altered: ProofVerdict = {
  proof: "altered",
  change: 7,
  first: { at: "devices[0].state", proof: "changed", recorded: "failed" },
};

test.each<[ProofVerdict, RegExp, boolean]>([
  [right, /The proof is right: change 7 of deploy, Changed/, false],
  [altered, /The proof of change 7 is not what is recorded/, true],
  [{ proof: "not-recorded", change: 7 }, /does not know this proof of change 7/, false],
  [{ proof: "other-vault" }, /of another vault/, false],
  [{ proof: "no-such-change", change: 7 }, /has no change 7/, true],
  [{ proof: "chain-broken", first: { problem: "missing", id: 3 } }, /its row 3 is missing/, true],
  [{ proof: "chain-broken", first: { problem: "changed", id: 4 } }, /its row 4 is not as it was written/, true],
])("a proof that is verified says %j in a sentence", async (verdict, sentence, alarming) => {
  let answer: (verified: ProofVerified) => void = () => undefined;
  const { container } = await open({ verifyProof: () => new Promise((resolve) => (answer = resolve)) });
  await choose("Verify a proof…");
  expect(screen.getByText("Comparing the proof with the journal and the audit")).toBeTruthy();
  expect(screen.getByRole<HTMLButtonElement>("button", { name: "Reports" }).disabled).toBe(true);
  answer({ file: "/home/ana/proof.html", verdict });
  expect(await screen.findByText(sentence)).toBeTruthy();
  expect(screen.queryByText(/Comparing/)).toBeNull();
  expect(screen.queryByRole("alert") !== null, "only what is wrong is an alert").toBe(alarming);
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("the first difference stands there with both values", async () => {
  await open({ verifyProof: async () => ({ file: "/p", verdict: altered }) });
  await choose("Verify a proof…");
  expect(await screen.findByText("devices[0].state")).toBeTruthy();
  expect([screen.getByText("changed"), screen.getByText("failed")]).toHaveLength(2);
});

test("a proof whose change has gone on says so", async () => {
  await open({ verifyProof: async () => ({ file: "/p", verdict: { ...right, anchored: false, gone_on: true } }) });
  await choose("Verify a proof…");
  expect(await screen.findByText(/has gone on since/)).toBeTruthy();
  expect(screen.getByText(/^The keyring does not vouch for that row yet/)).toBeTruthy();
});

test("a file that is no proof says what to choose, in both languages", async () => {
  const report = {
    code: "not-a-proof",
    message: "The file is not a proof of Keywheel's.",
    hint: "Choose a file that \"Save proof…\" or `keywheel report change` has written.",
    subject: null,
  };
  await open({ verifyProof: () => Promise.reject(new BackendError(report)) });
  await choose("Verify a proof…");
  expect(await screen.findByText(report.message)).toBeTruthy();
  catalogue.choose("pt-BR");
  expect(await screen.findByText("O arquivo não é um comprovante do Keywheel.")).toBeTruthy();
});

test("the page of a change saves its proof in either form", async () => {
  const writeProof = vi.fn<Backend["writeProof"]>(async () => file);
  const { container } = shown(SaveProof, { change: 7 }, fakeBackend({ writeProof, copy: async () => undefined }));
  await choose("HTML, to read and print", "Save proof…");
  expect(await screen.findByText("The proof of change 7 is written")).toBeTruthy();
  await choose("JSON, for programs", "Save proof…");
  await vi.waitFor(() => expect(writeProof.mock.calls).toEqual([[7, "html"], [7, "json"]]));
  expect((await axe.run(container, withoutContrast)).violations).toEqual([]);
});

test("one report is made at a time, and an answer after the end is nobody's", async () => {
  const answers: ((file: ReportWritten | null) => void)[] = [];
  const writeProof = vi.fn<Backend["writeProof"]>(() => new Promise((resolve) => answers.push(resolve)));
  const done = vi.fn();
  const reports = new Reports(fakeBackend({ writeProof }), done);
  const first = reports.proof(7, "html");
  await reports.proof(8, "html");
  expect(writeProof).toHaveBeenCalledOnce();
  reports.end();
  answers[0]?.(file);
  await first;
  expect([reports.written, done.mock.calls.length]).toEqual([null, 0]);
});
