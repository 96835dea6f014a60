import { screen, waitFor } from "@testing-library/svelte";
import { beforeEach, expect, test, vi } from "vitest";

import type { Algorithm } from "../../generated/Algorithm";
import type { DraftKey } from "../../generated/DraftKey";
import type { KeyChoice } from "../../generated/KeyChoice";
import { catalogue as messages } from "../../messages/catalogue.svelte";
import { button, catalogue, choose, combo, field, fill, openForm, saidAt, tab } from "./testing-form";
import { credential, details, draftKey, refusal } from "./testing";

vi.mock("../devices/DeviceDialog.svelte", () => import("./StubDialog.svelte"));
vi.mock("../people/PersonDialog.svelte", () => import("./StubDialog.svelte"));

beforeEach(() => messages.choose("en"));

const inFile = (draft: number, more: Partial<DraftKey> = {}): KeyChoice => ({
  choice: "key",
  ...draftKey(draft, { file: "/home/ana/id_rsa", algorithm: "rsa-3072", ...more }),
});
const LOCKED: KeyChoice = { choice: "encrypted", draft: 21, file: "/home/ana/id_sealed" };

test("begins with nothing, offers the seven algorithms, and Ed25519 is the preset", async () => {
  const { user } = await onKeyTab(catalogue().backend);

  expect(screen.queryByText("SHA-256 fingerprint")).toBeNull();
  expect(combo("Algorithm").textContent).toContain("Ed25519");
  await user.click(combo("Algorithm"));
  expect((await screen.findAllByRole("option")).map((option) => option.textContent?.trim())).toEqual([
    "Ed25519",
    "ECDSA P-256",
    "ECDSA P-384",
    "ECDSA P-521",
    "RSA 2048",
    "RSA 3072",
    "RSA 4096",
  ]);
});

test("generates a key with the algorithm and the comment, and shows it", async () => {
  const generateKey = vi.fn((_algorithm: Algorithm, _comment: string) => Promise.resolve(draftKey(11)));
  const { user } = await openForm(catalogue({ generateKey }).backend);
  await fill(user);

  expect(generateKey.mock.calls).toEqual([["ed25519", "deploy@web-new"]]);
  for (const shown of ["deploy@web", "ssh-ed25519 AAAA11 deploy@web", "SHA256:draft-11", "+--[ED25519 256]--+"]) {
    expect(screen.getByText(shown)).toBeDefined();
  }
  expect(button("Copy public key")).toBeDefined();
});

test("copies the public key through Rust", async () => {
  const copy = vi.fn((_text: string) => Promise.resolve());
  const { user } = await openForm(catalogue({ copy }).backend);
  await fill(user);

  await user.click(button("Copy public key"));
  expect(copy.mock.calls).toEqual([["ssh-ed25519 AAAA11 deploy@web"]]);
});

test("another algorithm makes the generated key stale until it is generated anew", async () => {
  let draft = 10;
  const generateKey = vi.fn((algorithm: Algorithm) => Promise.resolve(draftKey(++draft, { algorithm })));
  const { backend, dropDraft, saveCredential } = catalogue({ generateKey });
  const { user } = await openForm(backend);
  await fill(user);

  await choose(user, "Algorithm", "RSA 4096");
  expect(screen.getByText(/The key below is Ed25519. Generate a new key for RSA 4096/)).toBeDefined();
  await user.click(button("Save"));
  expect(saveCredential, "a key of another algorithm than the form says").not.toHaveBeenCalled();
  expect(saidAt(combo("Algorithm"))).toContain("Generate a new key.");
  await user.click(button("Generate a new key"));
  await screen.findByText("SHA256:draft-12");
  expect(screen.queryByText(/The key below is/)).toBeNull();
  expect(combo("Algorithm").getAttribute("aria-invalid")).toBeNull();
  expect(dropDraft.mock.calls, "the replaced draft").toEqual([[11]]);
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].secret).toEqual({ key: 12 });
});

test("going back to the generated key's algorithm makes it good again", async () => {
  const { user } = await openForm(catalogue().backend);
  await fill(user);

  await choose(user, "Algorithm", "RSA 2048");
  await choose(user, "Algorithm", "Ed25519");
  expect(screen.queryByText(/The key below is/)).toBeNull();
});

test("imports a file, names it, and says that it stays and stops working", async () => {
  const { backend, saveCredential } = catalogue({ chooseKeyFile: () => Promise.resolve(inFile(31)) });
  const { user } = await onKeyTab(backend);

  await user.click(button("Choose file…"));
  expect(await screen.findByText("From the file /home/ana/id_rsa")).toBeDefined();
  expect(screen.getByText("The file stays where it is and stops working at the first key change.")).toBeDefined();
  await user.click(tab("Information"));
  await user.type(field("Name"), "x");
  await user.type(field("Username"), "y");
  await choose(user, "Original device", /web-1/);
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].secret, "its algorithm is its own, not stale").toEqual({ key: 31 });
});

test("choosing no file changes nothing", async () => {
  const { backend, dropDraft } = catalogue({ chooseKeyFile: () => Promise.resolve(null) });
  const { user } = await openForm(backend);
  await fill(user);

  await user.click(button("Choose file…"));
  await waitFor(() => expect(button("Choose file…").disabled).toBe(false));
  expect(screen.getByText("SHA256:draft-11")).toBeDefined();
  expect(dropDraft).not.toHaveBeenCalled();
});

test.each(["putty-file", "not-a-private-key", "dsa-not-supported", "clipboard-empty"])(
  "a refused key (%s) says why, and the one before stays",
  async (code) => {
    const { backend, dropDraft } = catalogue({ pasteKey: () => Promise.reject(refusal(code)) });
    const { user } = await openForm(backend);
    await fill(user);

    await user.click(button("Paste from clipboard"));
    expect(await screen.findByText(`${code} happened.`)).toBeDefined();
    expect(screen.getByText(`Mend ${code}.`)).toBeDefined();
    expect(button("Copy details")).toBeDefined();
    expect(screen.getByText("SHA256:draft-11")).toBeDefined();
    expect(dropDraft).not.toHaveBeenCalled();
  },
);

test("an encrypted key is unlocked by its passphrase, which the field does not keep", async () => {
  const unlockKey = vi.fn((draft: number, _passphrase: string) => Promise.resolve(draftKey(draft)));
  const { user } = await onKeyTab(catalogue({ chooseKeyFile: () => Promise.resolve(LOCKED), unlockKey }).backend);

  await user.click(button("Choose file…"));
  expect(await screen.findByText("/home/ana/id_sealed is encrypted.")).toBeDefined();
  expect(button("Unlock").disabled, "there is nothing to unlock with").toBe(true);
  await user.type(field("Passphrase"), "open sesame{Enter}");
  await screen.findByText("SHA256:draft-21");
  expect(unlockKey.mock.calls).toEqual([[21, "open sesame"]]);
  expect(screen.queryByLabelText("Passphrase")).toBeNull();
});

test("a wrong passphrase is said at its field, which is empty for the next", async () => {
  const unlockKey = () => Promise.reject(refusal("wrong-passphrase", { field: "passphrase" }));
  const { user } = await onKeyTab(catalogue({ chooseKeyFile: () => Promise.resolve(LOCKED), unlockKey }).backend);

  await user.click(button("Choose file…"));
  await user.type(await screen.findByLabelText("Passphrase"), "wrong");
  await user.click(button("Unlock"));
  await waitFor(() => expect(saidAt(field("Passphrase"))).toContain("wrong-passphrase happened."));
  expect(field("Passphrase").value).toBe("");
  expect(field("Passphrase").getAttribute("aria-invalid")).toBe("true");
});

test("a key that is still locked is not saved; the error stands at the passphrase", async () => {
  const { backend, saveCredential } = catalogue({ pasteKey: () => Promise.resolve(LOCKED) });
  const { user } = await openForm(backend);
  await fill(user);
  await user.click(button("Paste from clipboard"));
  await screen.findByLabelText("Passphrase");

  await user.click(button("Save"));
  expect(saveCredential).not.toHaveBeenCalled();
  expect(saidAt(field("Passphrase"))).toContain("Enter the passphrase and unlock the key.");
});

test("a key that is discarded, and one that is left behind, are dropped in Rust", async () => {
  const { backend, dropDraft } = catalogue();
  const { user, unmount } = await openForm(backend);
  await fill(user);

  await user.click(button("Discard this key"));
  expect(screen.queryByText("SHA256:draft-11")).toBeNull();
  expect(dropDraft.mock.calls).toEqual([[11]]);
  await user.click(button("Generate a new key"));
  await screen.findByText("SHA256:draft-11");
  unmount();
  expect(dropDraft).toHaveBeenCalledTimes(2);
});

test("a key that comes after the form is gone is dropped", async () => {
  let answer: (key: DraftKey) => void = () => undefined;
  const generateKey = () => new Promise<DraftKey>((resolve) => (answer = resolve));
  const { backend, dropDraft } = catalogue({ generateKey });
  const { user, unmount } = await onKeyTab(backend);

  await user.click(button("Generate a new key"));
  unmount();
  expect(dropDraft).not.toHaveBeenCalled();
  answer(draftKey(40));
  await waitFor(() => expect(dropDraft.mock.calls).toEqual([[40]]));
});

test("a saved key is Rust's and is not dropped", async () => {
  const { backend, dropDraft, saveCredential } = catalogue();
  const { user, unmount } = await openForm(backend);
  await fill(user);

  await user.click(button("Save"));
  expect(saveCredential).toHaveBeenCalledOnce();
  unmount();
  expect(dropDraft).not.toHaveBeenCalled();
});

test("without a key a new credential is not saved, and the tab says so", async () => {
  const { backend, saveCredential } = catalogue();
  const { user } = await openForm(backend);
  await user.type(field("Name"), "x");
  await user.type(field("Username"), "y");
  await choose(user, "Original device", /web-1/);

  await user.click(button("Save"));
  expect(saveCredential).not.toHaveBeenCalled();
  expect(tab(/^Key/).getAttribute("aria-selected")).toBe("true");
  expect(tab(/^Key/).textContent).toContain("has an error");
  expect(screen.getByText("Generate a new key, or import one.")).toBeDefined();
});

test("the key of a saved credential is shown and not replaceable; it is changed on the devices", async () => {
  const others = { others_with_key: ["old-web"] };
  const { backend } = catalogue({ credential: () => Promise.resolve(details(credential(5, "web"), others)) });
  await onKeyTab(backend, { id: 5 });

  expect(screen.getByText("SHA256:saved")).toBeDefined();
  expect(screen.getByText("deploy@web")).toBeDefined();
  expect(screen.queryByRole("button", { name: "Generate a new key" })).toBeNull();
  expect(screen.queryByRole("button", { name: "Choose file…" })).toBeNull();
  const link = screen.getByRole("link", { name: "Change key now" });
  expect(link.getAttribute("href")).toBe("#/credentials/5/change");
  expect(screen.getByText("old-web has the same key.")).toBeDefined();
});

test("a new password is required, saved, and gone from the form", async () => {
  const { backend, saveCredential } = catalogue();
  const { user } = await openForm(backend, { kind: "password" });
  await user.type(field("Name"), "root");
  await user.type(field("Username"), "root");
  await choose(user, "Original device", /web-1/);

  await user.click(button("Save"));
  expect(saveCredential).not.toHaveBeenCalled();
  expect(saidAt(field("Password"))).toContain("Give the password.");
  await user.type(field("Password"), "s3cret");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1]).toMatchObject({ kind: "password", secret: { password: "s3cret" } });
  expect(field("Password").value).toBe("");
});

test("the password of a saved credential is kept unless another is typed", async () => {
  const saved = credential(5, "root", { kind: "password", public_key: null, fingerprint: null, algorithm: null });
  const { backend, saveCredential } = catalogue({ credential: () => Promise.resolve(details(saved)) });
  const { user } = await openForm(backend, { id: 5 });

  await user.click(tab("Password"));
  expect(saidAt(field("Password"))).toContain("A password is set. Leave this empty to keep it.");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1].secret).toBeNull();
});

async function onKeyTab(backend: Parameters<typeof openForm>[0], props: Parameters<typeof openForm>[1] = {}) {
  const opened = await openForm(backend, props);
  await opened.user.click(tab("Key"));
  return opened;
}
