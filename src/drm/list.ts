/**
 * A doubly linked list that runs through its members (struct list_head). The driver's lists decide who is evicted or
 * shrunk first, so membership moves all the time; here a move is four stores and makes no garbage.
 *
 * A link is either the head of a list (`owner` null) or one member's place in it. A link that is in no list points to
 * itself, as an empty head does.
 */
export class ListLink<T> {
  prev: ListLink<T> = this;
  next: ListLink<T> = this;
  readonly owner: T | null;

  constructor(owner: T | null) {
    this.owner = owner;
  }

  /** For a head: no members. For a member: in no list. */
  get empty(): boolean {
    return this.next === this;
  }

  /** The oldest member's owner, or null. */
  get first(): T | null {
    return this.next.owner;
  }

  /** Puts a member at the end of this head's list, taking it out of the list that it is in. */
  moveTail(link: ListLink<T>): void {
    if (link.next !== link) link.remove();
    const last = this.prev;
    link.prev = last;
    link.next = this;
    last.next = link;
    this.prev = link;
  }

  /** Puts a member at the front of this head's list, taking it out of the list that it is in. */
  moveHead(link: ListLink<T>): void {
    if (link.next !== link) link.remove();
    const first = this.next;
    link.prev = this;
    link.next = first;
    first.prev = link;
    this.next = link;
  }

  /** Takes this member out of its list (list_del_init); harmless when it is in none. */
  remove(): void {
    this.prev.next = this.next;
    this.next.prev = this.prev;
    this.prev = this;
    this.next = this;
  }

  /** Moves all members of another list to the front of this one, in their order (list_splice). */
  splice(other: ListLink<T>): void {
    if (other.empty) return;
    const first = other.next;
    const last = other.prev;
    other.prev = other;
    other.next = other;
    last.next = this.next;
    this.next.prev = last;
    first.prev = this;
    this.next = first;
  }

  /** The owners in order, as they are now: members may be moved while the result is walked. */
  toArray(): T[] {
    const owners: T[] = [];
    for (let link = this.next; link !== this; link = link.next) owners.push(link.owner!);
    return owners;
  }
}
