import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { afterEach, expect, test, vi } from "vitest";

import { BackendError, type Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import WithBackend from "../../backend/WithBackend.svelte";
import type { BackupStanding } from "../../generated/BackupStanding";
import { catalogue } from "../../messages/catalogue.svelte";
import BackupDialog from "./BackupDialog.svelte";
import BackupNotice from "./BackupNotice.svelte";
import { groups } from "./preview";
import RestoreDialog from "./RestoreDialog.svelte";
import { CREATED, preview, standing } from "./sample";

afterEach(() => catalogue.choose("en"));

const withoutContrast = { rules: { "color-contrast": { enabled: false }, region: { enabled: false } } };

function dialog(view: unknown, calls: Partial<Backend>) {
  const onclose = vi.fn();
  const dropDraft = vi.fn(async () => undefined);
  const backend = fakeBackend({ dropDraft, copy: async () => undefined, ...calls });
  const shown = render(WithBackend, { backend, view: view as never, given: { onclose } });
  return { onclose, dropDraft, ...shown };
}

const button = (name: string) => screen.getByRole<HTMLButtonElement>("button", { name });
const field = (name: string) => screen.getByLabelText<HTMLInputElement>(new RegExp(`^${name}`));

function refusal(code: string, at: string | null): BackendError {
  return new BackendError({ code, message: `It is ${code}.`, hint: "Try again.", subject: null, field: at });
}

test("a backup is made only with the same passphrase in both fields, and the fields are emptied", async () => {
  const user = userEvent.setup();
  const createBackup = vi.fn<Backend["createBackup"]>(async () => CREATED);
  dialog(BackupDialog, { createBackup });
  expect((await axe.run(document.body, withoutContrast)).violations).toEqual([]);
  const write = "Choose file and back up…";
  await user.type(field("Passphrase(?!,)"), "correct horse");
  await user.type(field("Passphrase, again"), "correct house");
  expect(button(write).disabled).toBe(true);
  expect(screen.getByText("The two passphrases differ.")).toBeTruthy();
  await user.clear(field("Passphrase, again"));
  await user.type(field("Passphrase, again"), "correct horse");
  await user.click(button(write));
  expect(createBackup).toHaveBeenCalledWith("correct horse", "");
  expect(await screen.findByText("The backup is written.")).toBeTruthy();
  expect(screen.getByText("/media/stick/vault.age")).toBeTruthy();
  expect(document.querySelector("input[type='password']"), "nothing of it stays in the page").toBeNull();
});

test("a passphrase that is refused says so at its field, and a cancelled file dialog changes nothing", async () => {
  const user = userEvent.setup();
  const createBackup = vi.fn<Backend["createBackup"]>().mockRejectedValueOnce(refusal("passphrase-short", "passphrase"));
  createBackup.mockResolvedValue(null);
  dialog(BackupDialog, { createBackup });
  await user.type(field("Passphrase(?!,)"), "short");
  await user.type(field("Passphrase, again"), "short{Enter}");
  expect(await screen.findByText("It is passphrase-short.")).toBeTruthy();
  expect(field("Passphrase(?!,)").getAttribute("aria-invalid")).toBe("true");
  await user.click(button("Choose file and back up…"));
  expect(createBackup).toHaveBeenCalledTimes(2);
  expect(screen.queryByText("It is passphrase-short."), "it was tried again").toBeNull();
  expect(field("Passphrase(?!,)").value).toBe("short");
});

test("a backup for a recipient needs no passphrase, and says what the keyring lacks", async () => {
  const user = userEvent.setup();
  const createBackup = vi.fn<Backend["createBackup"]>(async () => ({ ...CREATED, proof: "bytes", missing: ["deploy"] }));
  dialog(BackupDialog, { createBackup });
  await user.click(screen.getByRole("radio", { name: "Whoever has the identity of an age key" }));
  await user.type(field("Recipient"), " age1abc ");
  await user.click(button("Choose file and back up…"));
  expect(createBackup).toHaveBeenCalledWith(null, "age1abc");
  expect(await screen.findByText("deploy")).toBeTruthy();
  expect(screen.getByText(/only who has the identity can open it/)).toBeTruthy();
});

test("a restore shows what it will change before it does anything", async () => {
  const user = userEvent.setup();
  const openBackup = vi.fn<Backend["openBackup"]>().mockRejectedValueOnce(refusal("wrong-passphrase", "passphrase"));
  openBackup.mockResolvedValue(preview({ newer_here: [{ credential: "root", here: 4, backup: 2 }] }));
  const restored = { file: "", into: "same" as const, people: 0, devices: 1, credentials: 0, key_versions: 0, secrets: 1 };
  const restoreBackup = vi.fn<Backend["restoreBackup"]>(async () => ({ ...restored, without_secret: [] }));
  const { dropDraft, onclose, unmount } = dialog(RestoreDialog, {
    chooseBackup: async () => ({ draft: 7, file: "/media/stick/vault.age" }),
    openBackup,
    restoreBackup,
  });
  await user.click(button("Choose backup…"));
  await user.type(await screen.findByLabelText(/^Passphrase/), "wrong{Enter}");
  expect(await screen.findByText("It is wrong-passphrase.")).toBeTruthy();
  await user.clear(field("Passphrase"));
  await user.type(field("Passphrase"), "correct horse");
  await user.click(button("Open"));
  expect(openBackup).toHaveBeenLastCalledWith(7, "correct horse");
  expect((await screen.findByText("db-1")).closest("li")?.textContent).toContain("1 device: new");
  expect(screen.getByText(/has gone on to key version 4/)).toBeTruthy();
  expect(restoreBackup).not.toHaveBeenCalled();
  expect((await axe.run(document.body, withoutContrast)).violations).toEqual([]);
  await user.click(button("Restore"));
  expect(restoreBackup).toHaveBeenCalledWith(7);
  expect(await screen.findByText("The backup is restored.")).toBeTruthy();
  const closing = screen.getAllByRole("button", { name: "Close" });
  await user.click(closing[closing.length - 1] as HTMLElement);
  expect(onclose).toHaveBeenCalled();
  unmount();
  expect(dropDraft, "Rust has forgotten it already").not.toHaveBeenCalled();
});

test("an opened backup that is not restored is forgotten with the dialog", async () => {
  const user = userEvent.setup();
  const { dropDraft, unmount } = dialog(RestoreDialog, {
    chooseBackup: async () => ({ draft: 7, file: "/x.age" }),
    openBackup: async () => preview(),
  });
  await user.click(button("Choose backup…"));
  await user.click(await screen.findByRole("button", { name: "Open with an identity file…" }));
  await screen.findByText("db-1");
  unmount();
  expect(dropDraft).toHaveBeenCalledWith(7);
});

test("a restore that fails says why and can be begun again", async () => {
  const user = userEvent.setup();
  dialog(RestoreDialog, {
    chooseBackup: async () => ({ draft: 7, file: "/x.age" }),
    openBackup: async () => preview(),
    restoreBackup: () => Promise.reject(refusal("keyring-locked", null)),
  });
  await user.click(button("Choose backup…"));
  await user.click(await screen.findByRole("button", { name: "Open with an identity file…" }));
  await user.click(await screen.findByRole("button", { name: "Restore" }));
  expect(await screen.findByText("It is keyring-locked.")).toBeTruthy();
  expect(button("Choose backup…").disabled).toBe(false);
});

function notice(given: BackupStanding) {
  return render(WithBackend, { backend: fakeBackend(), view: BackupNotice as never, given: { standing: given } });
}

test("what is in no backup is counted, and a backup is one click away", async () => {
  const user = userEvent.setup();
  notice(standing({ lacks: 2 }));
  expect(screen.getByText("2 key versions are in no backup")).toBeTruthy();
  expect(screen.getByText(/There is no backup yet/)).toBeTruthy();
  await user.click(button("Back up now…"));
  expect(await screen.findByRole("dialog", { name: "Back up now" })).toBeTruthy();
});

test("a whole backup says nothing, and a failed one says why", () => {
  const { unmount } = notice(standing({ last: "2026-11-24T08:00:00Z" }));
  expect(screen.queryByText(/backup/i)).toBeNull();
  unmount();
  notice(standing({ failed: refusal("file-not-written", null).report }));
  expect(screen.getByText("It is file-not-written.")).toBeTruthy();
});

test("the dialogs speak Portuguese", async () => {
  catalogue.choose("pt-BR");
  dialog(RestoreDialog, {});
  expect(await screen.findByRole("dialog", { name: "Restaurar de um backup" })).toBeTruthy();
});

test("a preview's groups name what comes first and what stays the same not at all", () => {
  const names = Array.from({ length: 10 }, (_, index) => `key-${index}`);
  const credentials = names.map((name) => ({ name, comparison: "new" as const }));
  const found = groups(preview({ credentials, devices: [{ name: "web-1", comparison: "same" }] }));
  expect(found).toEqual([
    { noun: "devices", comparison: "same", count: 1, names: [], more: 0 },
    { noun: "credentials", comparison: "new", count: 10, names: names.slice(0, 8), more: 2 },
  ]);
});
