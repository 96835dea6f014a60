import { render, screen, waitFor, within } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { press } from "../../app/keys";
import { notices } from "../../app/notices.svelte";
import { router } from "../../app/router.svelte";
import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { CredentialDetails } from "../../generated/CredentialDetails";
import type { RetiredVersion } from "../../generated/RetiredVersion";
import { catalogue } from "../../messages/catalogue.svelte";
import CredentialPage from "./CredentialPage.svelte";
import WithBackend from "../../backend/WithBackend.svelte";
import { change, details, finding, keyVersion, report, truth } from "./sample";

let stop: () => void;

beforeEach(() => {
  window.history.replaceState(null, "", "#/credentials/1");
  stop = router.start();
});

afterEach(() => {
  stop();
  catalogue.choose("en");
});

const nowhere: Partial<CredentialDetails> = { username_fixed: [], truth: [] };

async function page(shown: CredentialDetails, calls: Partial<Backend> = {}) {
  const backend = fakeBackend({ credential: () => Promise.resolve(shown), ...calls });
  const view = render(WithBackend, { backend, view: CredentialPage as never, given: { id: 1 } });
  await screen.findByRole("heading", { level: 1, name: shown.credential.name });
  return view;
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const click = (name: string) => userEvent.click(button(name));
const isPrimary = (name: string) => button(name).classList.contains("primary");

async function menu(name: string) {
  await click("More actions");
  await userEvent.click(await screen.findByRole("menuitem", { name }));
}

test("the change of the key is the one obvious action, by Ctrl+Enter, too", async () => {
  await page(details());
  expect(isPrimary("Change key now")).toBe(true);
  expect(screen.getAllByRole("button").filter((each) => each.classList.contains("primary"))).toHaveLength(1);
  press(new KeyboardEvent("keydown", { key: "Enter", ctrlKey: true, cancelable: true }));
  expect(window.location.hash).toBe("#/credentials/1/change");
});

test("a key that stands nowhere is installed first, and the page says why", async () => {
  await page(details(nowhere, { state: "not-ready" }));
  expect(isPrimary("Install key on devices")).toBe(true);
  expect(screen.getByText(/No device is known to accept this key/)).toBeTruthy();
  await click("Install key on devices");
  expect(window.location.hash).toBe("#/credentials/1/install");
});

test("the page names the policy, and says when and why the key changes next", async () => {
  const reason = { kind: "age" as const, days: 90, since: "2026-02-01T10:00:00Z" };
  const next = { next_change_due: "2026-05-02T10:00:00Z", next_change: "2026-05-03T22:00:00Z", next_change_reason: reason };
  const { unmount } = await page(details({}, { state: "overdue", ...next }));
  expect(screen.getByRole("link", { name: "Standard" }).getAttribute("href")).toBe("#/policies/1");
  expect(screen.getByText("90 days after Feb 1, 2026, next allowed hour")).toBeTruthy();
  expect(screen.getByText(/a whole window has passed/)).toBeTruthy();
  unmount();
  await page(details());
  expect(screen.getByText("Next change").parentElement?.textContent).toContain("On request");
});

test("an interrupted change is resumed or rolled back on its own page, and nothing else is begun", async () => {
  await page(details({ changes: [change(9, "interrupted")] }, { state: "interrupted" }));
  expect(isPrimary("Resume")).toBe(true);
  await click("Roll back");
  expect(window.location.hash).toBe("#/changes/9");
  await click("More actions");
  const other = await screen.findByRole("menuitem", { name: "Change key now" });
  expect(other.getAttribute("aria-disabled"), "a second change would be offered while one is open").toBe("true");
});

test("an emergency that is not through is gone on with, and never rolled back", async () => {
  await page(details({ changes: [{ ...change(9, "partly-changed"), strategy: "emergency" }] }, { state: "partly-changed" }));
  expect(isPrimary("Retry failed")).toBe(true);
  expect(screen.queryByRole("button", { name: "Roll back" }), "a compromised key would be put back").toBeNull();
  expect(screen.getByRole("link", { name: /^Emergency change\s+9$/ })).toBeTruthy();
});

test("a compromised key is changed on a page of its own", async () => {
  await page(details());
  await menu("Key is compromised…");
  expect(window.location.hash).toBe("#/credentials/1/compromised");
});

test("a key that is known to be compromised is changed as one, and is marked in the history", async () => {
  const versions = [{ ...keyVersion(1, "retired"), compromised: true }, { ...keyVersion(2, "current"), compromised: true }];
  await page(details({}, { key_versions: versions }));
  expect(isPrimary("Key is compromised…")).toBe(true);
  expect(screen.getByText("Retired, compromised")).toBeTruthy();
  expect(screen.getByText("Current, compromised")).toBeTruthy();
  await click("Key is compromised…");
  expect(window.location.hash).toBe("#/credentials/1/compromised");
});

test("a disabled credential is enabled first", async () => {
  const setCredentialEnabled = vi.fn(() => Promise.resolve());
  await page(details({}, { state: "disabled", status: "disabled" }), { setCredentialEnabled });
  await click("Enable");
  expect(setCredentialEnabled).toHaveBeenCalledExactlyOnceWith(1, true);
});

test("disabling that fails is told at the page", async () => {
  const error = new BackendError(report("credential-busy", "Another process works with deploy."));
  await page(details(), { setCredentialEnabled: () => Promise.reject(error) });
  await menu("Disable");
  expect((await screen.findByRole("alert")).textContent).toContain("Another process works with deploy.");
});

test("a password has no key, no question and no check", async () => {
  const shown = details(nowhere, { kind: "password", state: "up-to-date", algorithm: null, fingerprint: null, public_key: null, key_created: null, key_versions: [] });
  await page({ ...shown, randomart: null });
  expect(isPrimary("Edit")).toBe(true);
  for (const name of ["Ask the devices now", "Check devices", "Change key now", "Copy public key"]) {
    expect(screen.queryByRole("button", { name }), name).toBeNull();
  }
  expect(screen.queryByRole("heading", { name: "Key versions" })).toBeNull();
  await click("More actions");
  expect((await screen.findAllByRole("menuitem")).map((item) => item.textContent?.trim())).toEqual(["Disable", "Delete"]);
});

test("devices come in the order of change with the original marked, and each one's truth", async () => {
  await page(details({ truth: [truth(3, { 2: "accepted" }), truth(1, { 1: "accepted", 2: "refused" }), truth(2, { 2: "unknown" })] }));
  const lines = within(screen.getByRole("grid", { name: "Devices" })).getAllByRole("row").slice(1);
  expect(lines.map((line) => line.getAttribute("aria-label"))).toEqual(["web-3", "web-1", "web-2"]);
  expect(within(lines[0]!).getByText("Original")).toBeTruthy();
  expect(within(lines[1]!).queryByText("Original")).toBeNull();
  expect(within(lines[0]!).getByText("Version 2")).toBeTruthy();
  expect(within(lines[1]!).getByText("Refuses version 2")).toBeTruthy();
  expect(within(lines[1]!).getByText("Version 1, an old one")).toBeTruthy();
  expect(within(lines[2]!).getByText("Version 2 not known")).toBeTruthy();
  expect(within(lines[2]!).getByText("Never")).toBeTruthy();
});

test("asked now, the devices' answers replace the record, and a question alone is called one", async () => {
  let answer: (answers: Awaited<ReturnType<Backend["accepts"]>>) => void = () => {};
  await page(details(), { accepts: () => new Promise((resolve) => (answer = resolve)) });
  await click("Ask the devices now");
  expect(screen.getByText("Asking 3 devices which key versions they accept")).toBeTruthy();
  const versions = [
    { version: 2, fingerprint: "SHA256:key2", answer: "accepted", by: "login" as const, last: null },
    { version: 1, fingerprint: "SHA256:key1", answer: "accepted", by: "question" as const, last: null },
  ];
  const error = report("unreachable", "web-2 can't be reached.", "Check its address.");
  answer([
    { device_id: 3, device: "web-3", versions, error: null },
    { device_id: 2, device: "web-2", versions: [], error },
  ]);
  expect(await screen.findByText("Version 1 would be offered")).toBeTruthy();
  expect(screen.getByText("1 device could not be asked")).toBeTruthy();
  expect(screen.getByText("Check its address.")).toBeTruthy();
});

const retired = (fields: Partial<RetiredVersion> = {}): RetiredVersion => ({
  version: 1,
  fingerprint: "SHA256:key1",
  retired_at: "2026-03-01T10:00:00Z",
  goes_at: "2026-03-08T10:00:00Z",
  due: true,
  held_by: [],
  ...fields,
});
const held = { device_id: 2, device: "web-2", reason: report("not-proven", "web-2 was not seen to refuse it.") };

test("a retired key says when it goes, or what it is kept for", async () => {
  await page(details({ retired: [retired({ due: false }), retired({ version: 2, held_by: [held] })] }));
  expect(screen.getByText(/The private key of version 1 is kept for undo and destroyed by itself from .*2026/)).toBeTruthy();
  const kept = screen.getByText("The private key of version 2 is kept, because something may still need it:");
  expect(kept.parentElement?.textContent).toContain("web-2 was not seen to refuse it.");
});

test("what a retired key is kept for is Portuguese, too", async () => {
  catalogue.choose("pt-BR");
  const reason = { ...report("not-proven", "web-2 was not seen to refuse it."), sentence: "not-seen-refused", arguments: { device: "web-2" } };
  await page(details({ retired: [retired({ version: 2, held_by: [{ ...held, reason }] })] }));
  expect(screen.getByText("Não se viu o dispositivo “web-2” aceitar uma chave mais nova e recusar esta.")).toBeTruthy();
});

test("a retired key is destroyed only behind the credential's name", async () => {
  const destroyKey = vi.fn(() => Promise.resolve([]));
  await page(details({ retired: [retired()] }), { destroyKey });
  await click("Destroy now…");
  expect(await screen.findByText(/can’t be brought back. A key change can no longer be undone to it/)).toBeTruthy();
  expect(button("Destroy the private key").disabled).toBe(true);
  const name = screen.getByRole("textbox", { name: /Type the credential’s name/ });
  await userEvent.type(name, "deplo{Enter}");
  expect(destroyKey).not.toHaveBeenCalled();
  await userEvent.type(name, "y");
  await click("Destroy the private key");
  expect(await screen.findByText("The private key of version 1 is destroyed")).toBeTruthy();
  expect(destroyKey).toHaveBeenCalledExactlyOnceWith(1, "deploy", 1, []);
});

test("a key that is held up says by what, and a device can be given up by its name", async () => {
  const answers = [[held], []];
  const destroyKey = vi.fn(() => Promise.resolve(answers.shift() ?? []));
  const { container } = await page(details({ retired: [retired()] }), { destroyKey });
  await click("Destroy now…");
  await userEvent.type(await screen.findByRole("textbox", { name: /Type the credential’s name/ }), "deploy");
  expect(screen.queryByRole("checkbox", { name: "Give up web-2" })).toBeNull();
  await click("Destroy the private key");
  expect(await screen.findByText("The private key was kept")).toBeTruthy();
  expect(screen.getByText("web-2 was not seen to refuse it.")).toBeTruthy();
  expect((await axe.run(container)).violations).toEqual([]);
  await userEvent.click(screen.getByRole("checkbox", { name: "Give up web-2" }));
  await click("Destroy the private key");
  expect(await screen.findByText("The private key of version 1 is destroyed")).toBeTruthy();
  expect(destroyKey).toHaveBeenLastCalledWith(1, "deploy", 1, [2]);
});

test("a check names what is wrong at which device, and what to do", async () => {
  const problem = report("host-key-unknown", "The host key of web-2 is not pinned.", "Scan its host keys.");
  await page(details(), {
    checkDevices: (_request, _only, onFinding) => {
      onFinding(finding(3));
      onFinding(finding(1));
      onFinding(finding(2, { ready: false, problems: [problem] }));
      return Promise.resolve();
    },
  });
  await click("Check devices");
  expect(await screen.findByText("2 devices are ready, 1 is not")).toBeTruthy();
  expect(screen.getByText("Scan its host keys.")).toBeTruthy();
  expect(screen.getByRole("link", { name: "Scan host keys" }).getAttribute("href")).toBe("#/devices/scan?ids=2");
  const line = screen.getByRole("row", { name: "web-2" });
  expect(within(line).getByText("Not ready")).toBeTruthy();
});

test("a check without problems says that all are ready", async () => {
  await page(details(), {
    checkDevices: (_request, _only, onFinding) => {
      [3, 1, 2].forEach((id) => onFinding(finding(id)));
      return Promise.resolve();
    },
  });
  await click("Check devices");
  expect(await screen.findByText("All 3 devices are ready for a key change")).toBeTruthy();
  expect(screen.queryByText(/is not$/)).toBeNull();
});

test("a running check says how far it is and is stopped when the page is left", async () => {
  const stopCheck = vi.fn(() => Promise.resolve());
  const { unmount } = await page(details(), { stopCheck, checkDevices: () => new Promise(() => {}) });
  await click("Check devices");
  expect(screen.getByRole("progressbar", { name: "Checking devices: 0 of 3" })).toBeTruthy();
  unmount();
  expect(stopCheck).toHaveBeenCalledOnce();
});

test("others with the same key, and an imported file, are warned about", async () => {
  await page(details({ others_with_key: ["ops", "ci"] }, { imported_from: "/home/ana/.ssh/id", key_versions: [keyVersion(1, "current")] }));
  expect(screen.getByText("ops and ci have the same key. A change of one will not change the other.")).toBeTruthy();
  expect(screen.getByText(/stops working at the first key change/)).toBeTruthy();
});

test("without others with the key nothing is warned about", async () => {
  await page(details({}, { imported_from: null }));
  expect(screen.queryByText("Other credentials have the same key")).toBeNull();
  expect(screen.queryByText("Imported from")).toBeNull();
});

test("the public key is copied by Rust", async () => {
  const copy = vi.fn(() => Promise.resolve());
  await page(details(), { copy });
  await click("Copy public key");
  expect(copy).toHaveBeenCalledExactlyOnceWith("ssh-ed25519 AAAAC3Nza deploy@web-3");
});

test("the history leads to each change", async () => {
  await page(details({ changes: [change(4, "changed", { devices_done: 3 }), change(9, "failed")] }));
  expect(screen.getByRole("link", { name: "Key change 9" }).getAttribute("href")).toBe("#/changes/9");
  expect(screen.getByText("3 of 3")).toBeTruthy();
  expect(screen.getByRole("rowheader", { name: "Version 1" })).toBeTruthy();
});

test("the private key is revealed only after its name was typed, and the window says where it lies", async () => {
  const revealKey = vi.fn(() => Promise.resolve("/home/ana/deploy.key"));
  await page(details(), { revealKey });
  await menu("Reveal private key");
  const dialog = await screen.findByRole("dialog", { name: "Reveal the private key of “deploy”" });
  const confirm = () => within(dialog).getByRole<HTMLButtonElement>("button", { name: "Choose file and write" });
  expect(confirm().disabled).toBe(true);
  await userEvent.type(within(dialog).getByLabelText(/Type the credential/), "deplo");
  expect(confirm().disabled, "another name is enough").toBe(true);
  await userEvent.type(within(dialog).getByLabelText(/Type the credential/), "y");
  await userEvent.type(within(dialog).getByLabelText("Passphrase"), "correct horse");
  await userEvent.type(within(dialog).getByLabelText("Repeat the passphrase"), "correct mouse");
  expect(within(dialog).getByText("The two passphrases differ.")).toBeTruthy();
  expect(confirm().disabled).toBe(true);
  await userEvent.clear(within(dialog).getByLabelText("Repeat the passphrase"));
  await userEvent.type(within(dialog).getByLabelText("Repeat the passphrase"), "correct horse");
  await userEvent.click(confirm());
  expect(revealKey).toHaveBeenCalledExactlyOnceWith(1, "deploy", "correct horse");
  expect(await within(dialog).findByText("/home/ana/deploy.key")).toBeTruthy();
});

test("without a passphrase none is sent, and choosing no file leaves the question open", async () => {
  const revealKey = vi.fn(() => Promise.resolve(null));
  await page(details(), { revealKey });
  await menu("Reveal private key");
  await userEvent.type(await screen.findByLabelText(/Type the credential/), "deploy");
  await click("Choose file and write");
  expect(revealKey).toHaveBeenCalledExactlyOnceWith(1, "deploy", null);
  expect(screen.queryByText("The private key was written")).toBeNull();
  expect(button("Choose file and write").disabled).toBe(false);
});

test("a refusal to reveal is told in the dialog", async () => {
  const error = new BackendError(report("file-exists", "deploy.key exists already.", "Choose another name."));
  await page(details(), { revealKey: () => Promise.reject(error) });
  await menu("Reveal private key");
  await userEvent.type(await screen.findByLabelText(/Type the credential/), "deploy");
  await click("Choose file and write");
  expect(within(await screen.findByRole("dialog")).getByText("Choose another name.")).toBeTruthy();
});

test("deleting takes the public key off the devices first, unless it is to be left", async () => {
  const removeCredential = vi.fn(() => Promise.resolve());
  await page(details(), { removeCredential, beginChange: () => Promise.reject(new Error("a change was begun")) });
  await menu("Delete");
  const dialog = await screen.findByRole("dialog", { name: "Delete “deploy”" });
  expect(within(dialog).getByRole<HTMLInputElement>("radio", { name: "Remove the public key from these devices" }).checked).toBe(true);
  expect(within(dialog).getByText(/stands on web-3, web-1,? and web-2/)).toBeTruthy();
  expect(within(dialog).getByText(/can’t be brought back/)).toBeTruthy();
  await userEvent.click(within(dialog).getByRole("radio", { name: "Leave it there" }));
  await userEvent.click(within(dialog).getByRole("button", { name: "Delete" }));
  expect(removeCredential).toHaveBeenCalledExactlyOnceWith(1, "leave-there");
  await waitFor(() => expect(window.location.hash).toBe("#/credentials"));
});

test("a removal that does not come through deletes nothing and leads to its change", async () => {
  const removeCredential = vi.fn(() => Promise.resolve());
  const running = change(5, "running", { kind: "uninstall", devices: 3 });
  await page(details(), {
    removeCredential,
    beginChange: () => Promise.resolve(5),
    change: () => Promise.resolve({ change: running } as never),
  });
  await menu("Delete");
  const dialog = await screen.findByRole("dialog");
  await userEvent.click(within(dialog).getByRole("button", { name: "Delete" }));
  expect(await within(dialog).findByRole("progressbar", { name: "Removing the public key: 0 of 3 devices" })).toBeTruthy();
  notices.hand({ notice: "change", change: 5, at: "2026-04-01T10:00:00Z", event: "finished", outcome: "partly-changed", devices: [], seconds: 2 });
  expect(await within(dialog).findByText("Nothing was deleted")).toBeTruthy();
  expect(removeCredential).not.toHaveBeenCalled();
  await userEvent.click(within(dialog).getByRole("button", { name: "Show what is where" }));
  expect(window.location.hash).toBe("#/changes/5");
});

test("a key that stands nowhere is not asked about", async () => {
  const removeCredential = vi.fn(() => Promise.resolve());
  await page(details(nowhere, { state: "not-ready" }), { removeCredential });
  await menu("Delete");
  const dialog = await screen.findByRole("dialog");
  expect(within(dialog).queryByRole("radio")).toBeNull();
  await userEvent.click(within(dialog).getByRole("button", { name: "Delete" }));
  expect(removeCredential).toHaveBeenCalledExactlyOnceWith(1, "refuse");
});

test("500 devices are few lines in the page", async () => {
  const device_ids = Array.from({ length: 500 }, (_, index) => index + 1);
  await page(details({ truth: [] }, { device_ids, devices: device_ids.map((id) => `d${id}`), original_device_id: 1 }));
  expect(within(screen.getByRole("grid", { name: "Devices" })).getAllByRole("row").length).toBeLessThan(70);
});

test("in Portuguese sentences are Portuguese", async () => {
  catalogue.choose("pt-BR");
  await page(details({ others_with_key: ["ops", "ci"] }));
  expect(screen.getByText("ops e ci têm a mesma chave. A troca de uma não troca a outra.")).toBeTruthy();
  expect(isPrimary("Trocar chave agora")).toBe(true);
});

test("a credential that is gone is told, with a way back", async () => {
  const error = new BackendError(report("unknown-credential", "There is no credential 1."));
  render(WithBackend, { backend: fakeBackend({ credential: () => Promise.reject(error) }), view: CredentialPage as never, given: { id: 1 } });
  expect((await screen.findByRole("alert")).textContent).toContain("There is no credential 1.");
  await click("Back to Credentials");
  expect(window.location.hash).toBe("#/credentials");
});

test("the page and its dialogs are accessible", async () => {
  const { container } = await page(details({ changes: [change(4, "changed")], others_with_key: ["ops"] }));
  const rules = { region: { enabled: false }, "color-contrast": { enabled: false } };
  const problems = async (element: Element) =>
    (await axe.run(element, { rules })).violations.map((violation) => `${violation.id}: ${violation.nodes[0]?.html}`);
  expect(await problems(container)).toEqual([]);
  await menu("Reveal private key");
  expect(await problems(await screen.findByRole("dialog"))).toEqual([]);
});
