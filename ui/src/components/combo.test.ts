import { render, screen } from "@testing-library/svelte";
import userEvent from "@testing-library/user-event";
import { expect, test, vi } from "vitest";

import { matching, MOST } from "./combo";
import ComboField from "./ComboField.svelte";

const devices = Array.from({ length: 80 }, (_, index) => ({
  value: String(index),
  label: `web-${index}`,
  detail: `10.0.0.${index}`,
}));

test("every typed word must occur, in name or detail, whatever its case and accents", () => {
  const options = [
    { value: "1", label: "São Paulo", detail: "10.0.0.1" },
    { value: "2", label: "Rio", detail: "10.0.0.2" },
    { value: "3", label: "old sao", detail: undefined },
  ];
  const found = (typed: string) => matching(options, typed).map((option) => option.value);
  expect(found("")).toEqual(["1", "2", "3"]);
  expect(found("SAO")).toEqual(["1", "3"]);
  expect(found("old sao")).toEqual(["3"]);
  expect(found("0.2")).toEqual(["2"]);
  expect(found("paulo rio")).toEqual([]);
});

test("names that begin with what is typed come first", () => {
  const options = [
    { value: "1", label: "backup-db" },
    { value: "2", label: "db-1" },
  ];
  expect(matching(options, "db").map((option) => option.value)).toEqual(["2", "1"]);
});

test("typing narrows many options, and Enter takes the marked one", async () => {
  const user = userEvent.setup();
  render(ComboField, { label: "Original device", value: null, options: devices });
  const field = screen.getByRole<HTMLInputElement>("combobox", { name: "Original device" });

  await user.click(field);
  expect(screen.getAllByRole("option").length).toBe(MOST);
  expect(screen.getByText("30 more, type to narrow")).toBeTruthy();
  await user.type(field, "web-77");
  expect(screen.getAllByRole("option").length).toBe(1);
  await user.keyboard("{Enter}");
  expect(field.value).toBe("web-77");
  expect(field.getAttribute("aria-expanded")).toBe("false");
});

test("what is typed and not taken goes, and Escape closes the list only", async () => {
  const user = userEvent.setup();
  const outer = vi.fn();
  document.body.addEventListener("keydown", outer);
  render(ComboField, { label: "Device", value: "3", options: devices });
  const field = screen.getByRole<HTMLInputElement>("combobox", { name: "Device" });

  expect(field.value).toBe("web-3");
  await user.click(field);
  await user.type(field, "nothing like it");
  expect(screen.getByText("Nothing matches")).toBeTruthy();
  outer.mockClear();
  await user.keyboard("{Escape}");
  expect(field.value).toBe("web-3");
  expect(outer, "Escape reached the dialog around the field").not.toHaveBeenCalled();
  document.body.removeEventListener("keydown", outer);
});

test("none can be taken, and the last entry leads elsewhere without a choice", async () => {
  const user = userEvent.setup();
  const onselect = vi.fn();
  render(ComboField, {
    label: "Credential owner",
    value: "3",
    options: devices,
    noneLabel: "None",
    extra: { label: "New person…", onselect },
  });
  const field = screen.getByRole<HTMLInputElement>("combobox", { name: "Credential owner" });

  field.focus();
  await user.keyboard("{ArrowDown}{End}{Enter}");
  expect(onselect).toHaveBeenCalledOnce();
  expect(field.value).toBe("web-3");

  await user.keyboard("{ArrowDown}{Home}{Enter}");
  expect(field.value).toBe("None");
});
