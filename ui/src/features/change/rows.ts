/** Which rows of a long list are drawn, where a few of them are opened and so higher than the others. */

/** An opened row: its index, and how much higher it is than the others. */
export interface Opened {
  index: number;
  more: number;
}

/** Rows drawn beyond either edge. */
const BEYOND = 6;

/** The most rows that are drawn, however high the window is. */
const MOST = 60;

/** Where a row begins; of the row behind the last one it is the height of all. */
export function startOf(index: number, height: number, opened: readonly Opened[]): number {
  return opened.reduce((start, row) => (row.index < index ? start + row.more : start), index * height);
}

/** The row at a place, counted from the first row's beginning. */
export function rowAt(place: number, height: number, opened: readonly Opened[]): number {
  let passed = 0;
  for (const row of [...opened].sort((a, b) => a.index - b.index)) {
    const end = (row.index + 1) * height + passed + row.more;
    if (place < (row.index + 1) * height + passed) break;
    if (place < end) return row.index;
    passed += row.more;
  }
  return Math.max(0, Math.floor((place - passed) / height));
}

/** The rows to draw: from the first up to, but without, the end. */
export function drawn(
  top: number,
  view: number,
  height: number,
  count: number,
  opened: readonly Opened[],
): { first: number; end: number } {
  const first = Math.max(0, Math.min(rowAt(top, height, opened), count - 1) - BEYOND);
  const end = Math.min(count, rowAt(top + view, height, opened) + 1 + BEYOND, first + MOST);
  return { first: Math.max(0, Math.min(first, end)), end };
}

/** The scroll position at which a row stands a third below the upper edge, if it is not well in sight already. */
export function toSee(start: number, height: number, top: number, view: number): number {
  const inSight = start >= top + height && start + 2 * height <= top + view;
  return inSight ? top : Math.max(0, start - Math.floor(view / 3));
}
