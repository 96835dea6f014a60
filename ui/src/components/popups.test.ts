import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { createRawSnippet } from "svelte";
import { expect, test, vi } from "vitest";

import ConfirmDialog from "./ConfirmDialog.svelte";
import FilterMenu from "./FilterMenu.svelte";
import Menu from "./Menu.svelte";
import SelectField from "./SelectField.svelte";
import Tabs from "./Tabs.svelte";

const algorithms = [
  { value: "ed25519", label: "Ed25519", detail: "default" },
  { value: "ecdsa-p256", label: "ECDSA P-256" },
  { value: "rsa-3072", label: "RSA 3072", disabled: true },
];

test("a select is named by its label, and chosen from by the keyboard alone", async () => {
  const user = userEvent.setup();
  render(SelectField, { label: "Algorithm", value: "ed25519", options: algorithms, required: true });

  const field = screen.getByRole("combobox", { name: "Algorithm" });
  expect(field.textContent).toContain("Ed25519");
  field.focus();
  await user.keyboard("{Enter}");
  expect(await screen.findByRole("option", { name: /ECDSA/ })).toBeTruthy();
  await user.keyboard("{ArrowDown}{Enter}");
  expect(field.textContent).toContain("ECDSA P-256");
});

test("a select opens by a click and shows its error at the field", async () => {
  const user = userEvent.setup();
  render(SelectField, {
    label: "Algorithm",
    value: "",
    options: algorithms,
    placeholder: "Choose",
    error: "Choose an algorithm.",
    hint: "Ed25519 suits most servers.",
  });

  const field = screen.getByRole("combobox", { name: "Algorithm" });
  expect(field.getAttribute("aria-invalid")).toBe("true");
  expect(screen.getByText("Ed25519 suits most servers.")).toBeTruthy();
  await user.click(field);
  await user.click(await screen.findByRole("option", { name: /ECDSA/ }));
  expect(field.textContent).toContain("ECDSA P-256");
});

test("a menu runs what is selected and not what is disabled", async () => {
  const user = userEvent.setup();
  const edit = vi.fn();
  const remove = vi.fn();
  render(Menu, {
    label: "Actions",
    items: [
      { label: "Edit", onselect: edit },
      { label: "Delete", danger: true, disabled: true, onselect: remove },
    ],
  });

  await user.click(screen.getByRole("button", { name: "Actions" }));
  const item = await screen.findByRole("menuitem", { name: "Delete" });
  expect(item.getAttribute("aria-disabled")).toBe("true");
  await user.click(screen.getByRole("menuitem", { name: "Edit" }));
  expect(edit).toHaveBeenCalledOnce();
  expect(remove).not.toHaveBeenCalled();
});

test("a filter stays open while values are chosen, and counts them", async () => {
  const user = userEvent.setup();
  render(FilterMenu, {
    label: "Tags",
    options: [
      { value: "web", label: "web", count: 3 },
      { value: "db", label: "db" },
    ],
    selected: [],
  });

  await user.click(screen.getByRole("button", { name: "Filter: Tags" }));
  await user.click(await screen.findByRole("menuitemcheckbox", { name: /web/ }));
  await user.click(screen.getByRole("menuitemcheckbox", { name: /db/ }));
  expect(screen.getByLabelText("Filter: Tags, 2 chosen")).toBeTruthy();
  await user.click(screen.getByRole("menuitem", { name: "Clear" }));
  expect(screen.getByLabelText("Filter: Tags")).toBeTruthy();
});

test("a deletion waits for the name, and for nothing like it", async () => {
  const user = userEvent.setup();
  const onconfirm = vi.fn();
  const onclose = vi.fn();
  render(ConfirmDialog, {
    title: "Delete credential",
    text: "The key is destroyed.",
    open: true,
    confirm: "Delete",
    danger: true,
    typed: { label: "Name of the credential", expected: "login" },
    onconfirm,
    onclose,
  });

  expect(await screen.findByRole("dialog", { name: "Delete credential" })).toBeTruthy();
  const button = screen.getByRole<HTMLButtonElement>("button", { name: "Delete" });
  const field = screen.getByRole("textbox", { name: "Name of the credential" });
  await user.type(field, "logi{Enter}");
  expect(button.disabled).toBe(true);
  expect(onconfirm).not.toHaveBeenCalled();
  await user.type(field, "n");
  await user.click(button);
  expect(onconfirm).toHaveBeenCalledOnce();
  await user.keyboard("{Escape}");
  expect(onclose).toHaveBeenCalled();
});

test("a dialog that is at work stays open, and one that failed says why", async () => {
  const user = userEvent.setup();
  const onclose = vi.fn();
  const shared = { title: "Undo", text: "The old key comes back.", open: true, confirm: "Undo", onconfirm: vi.fn(), onclose };
  const { rerender } = render(ConfirmDialog, { ...shared, busy: true });

  await user.keyboard("{Escape}");
  expect(onclose).not.toHaveBeenCalled();
  await rerender({ ...shared, busy: false, error: new Error("The device did not answer.") });
  expect((await screen.findByRole("alert")).textContent).toContain("The device did not answer.");
});

test("tabs keep what is typed in a part that is left, and say which has an error", async () => {
  const user = userEvent.setup();
  const children = createRawSnippet((id: () => string) => ({ render: () => `<input aria-label="in ${id()}">` }));
  render(Tabs, {
    tabs: [
      { id: "one", label: "Information" },
      { id: "two", label: "Security", marked: true },
    ],
    active: "one",
    children,
  });

  await user.type(screen.getByLabelText("in one"), "kept");
  screen.getByRole("tab", { name: "Information" }).focus();
  await user.keyboard("{ArrowRight}");
  expect(screen.getByRole("tab", { name: /Security.*has an error/ }).getAttribute("aria-selected")).toBe("true");
  expect(screen.getByRole("tabpanel").contains(screen.getByLabelText("in two"))).toBe(true);
  await user.keyboard("{ArrowLeft}");
  expect(screen.getByLabelText<HTMLInputElement>("in one").value).toBe("kept");
});
