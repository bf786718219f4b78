// What the language has no words for: vectors of records, a record inside another, and the address of a record. Handles
// and addresses are the same numbers, so each of these costs nothing.

/** The i-th of records of one class that lie one after the other. */
// @ts-ignore: decorator
@inline
export function recordAt<T>(vector: usize, i: u32): T {
  return changetype<T>(vector + <usize>i * offsetof<T>());
}

/** Where a record lies: its handle, as a number. */
// @ts-ignore: decorator
@inline
export function addressOf<R>(record: R): usize {
  return changetype<usize>(record);
}

/** Where a field of a record lies; `offset` is offsetof<R>(field). */
// @ts-ignore: decorator
@inline
export function fieldOf<R>(record: R, offset: usize): usize {
  return changetype<usize>(record) + offset;
}

/** Takes a record out of a list. `head` is where the pointer to the first record is, `next` the offset of the records' link. */
export function unlinkRecord(head: usize, record: usize, next: usize): void {
  let link = head;
  while (<usize>load<u32>(link) != record) link = <usize>load<u32>(link) + next;
  store<u32>(link, load<u32>(record + next));
}
