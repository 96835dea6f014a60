/** What a table of any length computes without a page: which rows are drawn, and where a key leads. */

export interface Sort {
  column: string;
  direction: "ascending" | "descending";
}

/**
 * Sorted rows that are remembered: who types into a search narrows the same rows again and again, and comparing ten thousand
 * names by the rules of a language at each key costs more than a frame has.
 */
export class Sorted<Row> {
  #order: ((a: Row, b: Row) => number) | null = null;
  #direction: Sort["direction"] | null = null;
  #ranks = new Map<Row, number>();

  /** The rows in this order. Rows of one rank stay as they came when the order was first asked for. */
  of(rows: readonly Row[], order: (a: Row, b: Row) => number, direction: Sort["direction"]): readonly Row[] {
    const known = order === this.#order && direction === this.#direction && rows.every((row) => this.#ranks.has(row));
    if (!known) {
      const sorted = [...rows].sort(direction === "descending" ? (a, b) => order(b, a) : order);
      this.#order = order;
      this.#direction = direction;
      this.#ranks = new Map(sorted.map((row, rank) => [row, rank]));
      return sorted;
    }
    const rank = (row: Row) => this.#ranks.get(row) ?? 0;
    return [...rows].sort((a, b) => rank(a) - rank(b));
  }
}

/** The height of a table's header in pixels. */
export const HEAD = 36;

/** Rows drawn beyond either edge, so that a turn of the wheel shows no blank. */
export const BEYOND = 6;

/** The most rows that are drawn, however high the window is. */
const MOST = 56;

/** The rows to draw at a scroll position: from the first up to, but without, the end. */
export function drawn(
  top: number,
  height: number,
  rowHeight: number,
  count: number,
  beyond: number = BEYOND,
): { first: number; end: number } {
  // One more than fit, for a row that is cut at the top.
  const wanted = Math.min(Math.ceil(height / rowHeight) + 1 + 2 * beyond, MOST, count);
  const first = Math.max(0, Math.min(Math.floor(top / rowHeight) - beyond, count - wanted));
  return { first, end: first + wanted };
}

/** The row that a key leads to from the active one; null for a key that moves nothing. */
export function led(key: string, active: number, count: number, page: number): number | null {
  const to = (index: number) => Math.max(0, Math.min(index, count - 1));
  if (count === 0) return null;
  switch (key) {
    case "ArrowDown":
      return to(active + 1);
    case "ArrowUp":
      return to(active - 1);
    case "PageDown":
      return to(active + page);
    case "PageUp":
      return to(active - page);
    case "Home":
      return 0;
    case "End":
      return count - 1;
    default:
      return null;
  }
}

/** The scroll position nearest to the present one at which a row is wholly in sight below the header. */
export function inSight(index: number, top: number, height: number, rowHeight: number): number {
  const start = index * rowHeight;
  const end = start + rowHeight;
  if (start < top) return start;
  const room = height - HEAD;
  return end > top + room ? Math.max(0, end - room) : top;
}

/** The next order when a column's header is pressed. */
export function turned(sort: Sort | null, column: string): Sort {
  const again = sort?.column === column && sort.direction === "ascending";
  return { column, direction: again ? "descending" : "ascending" };
}
