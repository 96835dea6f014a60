import { screen, waitFor } from "@testing-library/svelte";
import axe from "axe-core";
import { beforeEach, expect, test, vi } from "vitest";

import { catalogue as messages } from "../../messages/catalogue.svelte";
import { button, catalogue, choose, combo, field, fill, openForm, saidAt, tab } from "./testing-form";
import { credential, details } from "./testing";

vi.mock("../devices/DeviceDialog.svelte", () => import("./StubDialog.svelte"));
vi.mock("../people/PersonDialog.svelte", () => import("./StubDialog.svelte"));

beforeEach(() => messages.choose("en"));

test("has its four tabs, one Save and one Cancel", async () => {
  await openForm(catalogue().backend);

  expect(screen.getAllByRole("tab").map((each) => each.textContent?.trim())).toEqual([
    "Information",
    "Key",
    "Additional settings",
    "Devices",
  ]);
  expect(screen.getAllByRole("button", { name: "Save" })).toHaveLength(1);
  expect(screen.getAllByRole("button", { name: "Cancel" })).toHaveLength(1);
  expect(document.activeElement, "the cursor stands where the typing begins").toBe(field("Name"));
});

test("a password's second tab is called Password, and switching back keeps what was typed", async () => {
  const { user } = await openForm(catalogue().backend);

  await user.click(screen.getByRole("radio", { name: "Password" }));
  await user.click(tab("Password"));
  await user.type(field("Password"), "s3cret");
  await user.click(tab("Information"));
  await user.click(screen.getByRole("radio", { name: "SSH key" }));
  expect(screen.queryByRole("tab", { name: "Password" })).toBeNull();
  await user.click(screen.getByRole("radio", { name: "Password" }));
  await user.click(tab("Password"));
  expect(field("Password").value).toBe("s3cret");
});

test("can be opened for a password", async () => {
  await openForm(catalogue().backend, { kind: "password" });

  expect(screen.getByRole<HTMLInputElement>("radio", { name: "Password" }).checked).toBe(true);
});

test("the last entry of the original device is a new one, which is then chosen and stays in the list of the devices", async () => {
  const { user } = await openForm(catalogue().backend);

  await user.click(combo("Original device"));
  const options = await screen.findAllByRole("option");
  expect(options.at(-1)?.textContent).toContain("New device…");
  await user.click(options.at(-1) as HTMLElement);
  await user.click(await screen.findByRole("button", { name: "Save the new one" }));
  await waitFor(() => expect(combo("Original device").value).toBe("new-9"));
  expect(screen.queryByRole("dialog")).toBeNull();
});

test("a new device that is not saved chooses nothing", async () => {
  const { user } = await openForm(catalogue().backend);

  await choose(user, "Original device", /web-1/);
  await choose(user, "Original device", /New device/);
  await user.click(await screen.findByRole("button", { name: "Leave it" }));
  expect(combo("Original device").value).toBe("web-1");
});

test("the username can't be edited once the key stands on a device; a copy is offered", async () => {
  const stands = { username_fixed: ["web-1", "web-2", "web-3", "web-4", "web-5"] };
  const { backend } = catalogue({ credential: () => Promise.resolve(details(credential(5, "web"), stands)) });
  await openForm(backend, { id: 5 });

  expect(field("Username").disabled).toBe(true);
  expect(saidAt(field("Username"))).toBe(
    "Not to be changed: the key stands on web-1, web-2, web-3 and 2 more devices.",
  );
  const link = screen.getByRole("link", { name: "Make a copy for another account" });
  expect(link.getAttribute("href")).toBe("#/credentials/5/copy");
});

test("the username of a credential that stands nowhere can be edited, and the form is the saved one", async () => {
  const { user, saveCredential } = await opened({ id: 5 });

  expect(field("Username").disabled).toBe(false);
  expect(screen.queryByRole("link", { name: "Make a copy for another account" })).toBeNull();
  expect(field("Name").value).toBe("web");
  expect(combo("Original device").value).toBe("web-2");
  await user.clear(field("Username"));
  await user.type(field("Username"), "www");
  await user.click(button("Save"));
  expect(saveCredential).toHaveBeenCalledOnce();
  expect(saveCredential.mock.calls[0]).toEqual([
    5,
    expect.objectContaining({ username: "www", devices: [2, 1, 3], secret: null, policy: 1, tags: ["prod"] }),
    "refuse",
  ]);
});

test("the kind of a saved credential stays", async () => {
  await openForm(catalogue().backend, { id: 5 });

  const radios = ["SSH key", "Password"].map((name) => screen.getByRole<HTMLInputElement>("radio", { name }));
  expect(radios.every((radio) => radio.matches(":disabled"))).toBe(true);
});

test("the kind of a new one is chosen", async () => {
  await openForm(catalogue().backend);

  expect(screen.getByRole("radio", { name: "Password" }).matches(":disabled")).toBe(false);
});

test("a copy is a new credential with another account and a key of its own", async () => {
  const { user, saveCredential } = await opened({ copy: 5 });

  expect(screen.getByRole("heading", { level: 1 }).textContent).toBe("Copy of web");
  expect(field("Name").value).toBe("web copy");
  expect(field("Username").value).toBe("");
  await user.type(field("Username"), "www");
  await user.click(tab("Key"));
  await user.click(button("Generate a new key"));
  await screen.findByText("SHA256:draft-11");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]).toEqual([
    null,
    expect.objectContaining({ name: "web copy", username: "www", devices: [2, 1, 3], secret: { key: 11 } }),
    "refuse",
  ]);
});

test("a status and tags are saved", async () => {
  const { user, saveCredential } = await opened();

  await fill(user);
  await user.click(tab("Information"));
  await user.click(screen.getByRole("radio", { name: "Disabled" }));
  await user.type(field("Tags"), "edge{Enter}");
  await user.click(button("Save"));
  expect(saveCredential.mock.calls[0]?.[1]).toMatchObject({ enabled: false, tags: ["edge"] });
});

test("names with markup, quotes, emoji and right-to-left text are text", async () => {
  const name = `<b>"x"</b> 🔑 \u05d0\u05d1`;
  const { backend } = catalogue({
    credential: () => Promise.resolve(details(credential(5, name, { username: "a" }), { username_fixed: ["<i>h</i>"] })),
  });
  await openForm(backend, { id: 5 });

  expect(screen.getByRole("heading", { level: 1 }).textContent).toBe(`Edit ${name}`);
  expect(saidAt(field("Username"))).toContain("<i>h</i>");
  expect(document.querySelector("h1 b, h1 i")).toBeNull();
});

test("speaks Portuguese", async () => {
  messages.choose("pt-BR");
  const stands = { username_fixed: ["web-1", "web-2"] };
  const { backend } = catalogue({ credential: () => Promise.resolve(details(credential(5, "web"), stands)) });
  await openForm(backend, { id: 5 });

  expect(tab("Configurações adicionais")).toBeDefined();
  expect(saidAt(field("Nome de usuário"))).toBe("Não pode ser alterado: a chave está em web-1 e web-2.");
  expect(button("Salvar")).toBeDefined();
});

test("is no fault to axe, on any of its tabs", { timeout: 30_000 }, async () => {
  const { user } = await openForm(catalogue().backend);

  for (const name of ["Information", "Key", "Additional settings", "Devices"]) {
    await user.click(tab(name));
    // The page is no whole window here, and jsdom sees no colours.
    const off = { enabled: false };
    const found = await axe.run(document.body, { rules: { region: off, "color-contrast": off } });
    expect(found.violations.map((violation) => violation.id), name).toEqual([]);
  }
});

async function opened(props: { id?: number; copy?: number } = {}) {
  const made = catalogue();
  return { ...made, ...(await openForm(made.backend, props)) };
}
