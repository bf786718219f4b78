import type { Timeline } from '../../core/life.js';
import { DmaBuf } from '../../drm/dma-buf.js';
import { IdTable } from './ids.js';
import type { Syncobj } from './syncobj.js';

/** What a file descriptor stands for. */
export type FdTarget = DmaBuf | Syncobj | SyncFile;

/** A fence as a file (sync_file): done at a virtual time in ms. */
export interface SyncFile {
  readonly due: number;
}

/** File descriptors of the clients of a machine: one table, as if all of them were one process. From 3, the lowest free. */
export class FdTable {
  private readonly targets = new IdTable<FdTarget>(3);

  add(target: FdTarget): number {
    return this.targets.add(target);
  }

  get(fd: number): FdTarget | undefined {
    return this.targets.get(fd);
  }

  /** close(2). Returns whether there was one. */
  close(fd: number): boolean {
    const target = this.targets.delete(fd);
    if (target === undefined) return false;
    if (target instanceof DmaBuf && target.alive) target.release();
    return true;
  }
}

/** The table of a machine. Going back to before the first file was opened, there is none any more. */
export function fdTable({ members }: Timeline): FdTable {
  for (const member of members) if (member instanceof FdTable) return member;
  const table = new FdTable();
  members.add(table);
  return table;
}
