import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Backend } from "../../backend/backend";
import { fakeBackend } from "../../backend/fake";
import type { AuditRecord } from "../../generated/AuditRecord";
import { AuditPages, PAGE, REST_MS } from "./pages.svelte";
import { record, records, served } from "./sample";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function leafed(audit: Backend["audit"]) {
  const asked = vi.fn(audit);
  return { pages: new AuditPages(fakeBackend({ audit: asked })), asked };
}

const ids = (pages: AuditPages) => pages.rows.map((row) => row.id);

test("pages follow one another without a gap or a row twice, until the last", async () => {
  const { pages, asked } = leafed(served(records(450)));
  await pages.first();
  expect([pages.rows.length, pages.more]).toEqual([PAGE, true]);
  await pages.next();
  await pages.next();
  expect(ids(pages)).toEqual(Array.from({ length: 450 }, (_, index) => 450 - index));
  expect(pages.more).toBe(false);
  await pages.next();
  expect(asked, "the end was asked again").toHaveBeenCalledTimes(3);
});

test("a page is asked for once, however often the end comes in sight", async () => {
  const { pages, asked } = leafed(served(records(450)));
  await pages.first();
  await Promise.all([pages.next(), pages.next(), pages.next()]);
  expect(asked).toHaveBeenCalledTimes(2);
});

test("typing is searched for when it rests, and only what is new", async () => {
  const { pages, asked } = leafed(served(records(30)));
  await pages.first();
  pages.narrow("d");
  await vi.advanceTimersByTimeAsync(REST_MS - 1);
  pages.narrow("dev");
  await vi.advanceTimersByTimeAsync(REST_MS - 1);
  expect(asked).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(1);
  expect(asked).toHaveBeenLastCalledWith({ search: "dev", before: null, limit: PAGE });
  pages.narrow(" dev ");
  await vi.advanceTimersByTimeAsync(REST_MS);
  expect(asked, "the same was searched twice").toHaveBeenCalledTimes(2);
});

test("a late answer to an earlier search is dropped", async () => {
  const answers = new Map<string, (rows: AuditRecord[]) => void>();
  const { pages } = leafed(({ search }) => new Promise((answer) => answers.set(search, answer)));
  void pages.first();
  pages.narrow("new");
  await vi.advanceTimersByTimeAsync(REST_MS);
  answers.get("new")?.([record(2)]);
  answers.get("")?.([record(9)]);
  await vi.advanceTimersByTimeAsync(0);
  expect(ids(pages)).toEqual([2]);
  expect(pages.reading).toBe(false);
});

test("a page that fails keeps the rows, and can be asked for again", async () => {
  let fail = false;
  const serve = served(records(300));
  const { pages } = leafed((filter) => (fail ? Promise.reject(new Error("busy")) : serve(filter)));
  await pages.first();
  fail = true;
  await pages.next();
  expect([pages.rows.length, (pages.error as Error).message, pages.more]).toEqual([PAGE, "busy", true]);
  fail = false;
  await pages.again();
  expect([pages.rows.length, pages.error]).toEqual([300, null]);
});

test("a search that failed is asked for again itself, and adds nothing to other rows", async () => {
  let fail = false;
  const serve = served(records(300));
  const { pages } = leafed((filter) => (fail ? Promise.reject(new Error("busy")) : serve(filter)));
  await pages.first();
  fail = true;
  pages.narrow("web-30");
  await vi.advanceTimersByTimeAsync(REST_MS);
  fail = false;
  await pages.again();
  expect(ids(pages)).toEqual([300, 30]);
});

test("new rows come on top while the top is in sight, else they are counted and nothing moves", async () => {
  const all = records(250);
  const { pages } = leafed((filter) => served(all)(filter));
  await pages.first();
  await pages.next();
  all.unshift(record(251));
  await pages.refresh(false);
  expect([ids(pages)[0], pages.newer]).toEqual([250, 1]);
  all.unshift(record(252));
  await pages.refresh(true);
  expect(ids(pages)).toEqual(all.map((row) => row.id));
  expect(pages.newer, "what is shown still counts as newer").toBe(0);
});

test("so many new rows that there may be a gap replace the old ones", async () => {
  let all = records(250);
  const { pages } = leafed((filter) => served(all)(filter));
  await pages.first();
  all = records(900);
  await pages.refresh(true);
  expect([ids(pages)[0], pages.rows.length, pages.more]).toEqual([900, PAGE, true]);
});

test("an answer after the end is nobody's", async () => {
  const { pages } = leafed(served(records(3)));
  const asking = pages.first();
  pages.end();
  await asking;
  expect(pages.rows).toEqual([]);
});
