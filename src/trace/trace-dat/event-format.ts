/**
 * How the kernel lays out an event's record: the text of events/SYSTEM/EVENT/format. Fields are found by name.
 *
 *     name: dma_map_page
 *     ID: 151
 *     format:
 *         field:unsigned short common_type;  offset:0;  size:2;  signed:0;
 */

export interface EventField {
  offset: number;
  size: number;
  /** The record has the offset of the data: `__data_loc`, from the record's start; `__rel_loc`, from the end of the field. */
  location: 'here' | 'data' | 'relative';
}

export interface EventFormat {
  system: string;
  name: string;
  id: number;
  fields: ReadonlyMap<string, EventField>;
}

const FIELD = /field:([^;]+);\s*offset:(\d+);\s*size:(\d+);/g;

/** Undefined if the text is not an event's format. */
export function parseEventFormat(system: string, text: string): EventFormat | undefined {
  const name = /^name:\s*(\S+)/m.exec(text)?.[1];
  const id = /^ID:\s*(\d+)/m.exec(text)?.[1];
  if (name === undefined || id === undefined) return undefined;
  const fields = new Map<string, EventField>();
  for (const [, declaration, offset, size] of text.matchAll(FIELD)) {
    const named = /(\w+)\s*(?:\[[^\]]*\])?\s*$/.exec(declaration);
    if (!named) continue;
    const location = declaration.includes('__data_loc')
      ? 'data'
      : declaration.includes('__rel_loc')
        ? 'relative'
        : 'here';
    fields.set(named[1], { offset: Number(offset), size: Number(size), location });
  }
  return { system, name, id: Number(id), fields };
}

/** The page of the ring buffer (events/header_page): where the count of valid bytes and the data are. */
export interface PageFormat {
  commitOffset: number;
  commitSize: number;
  dataOffset: number;
}

export function parsePageFormat(text: string): PageFormat {
  const found = new Map<string, { offset: number; size: number }>();
  for (const [, declaration, offset, size] of text.matchAll(FIELD)) {
    const name = /(\w+)\s*(?:\[[^\]]*\])?\s*$/.exec(declaration)?.[1];
    if (name) found.set(name, { offset: Number(offset), size: Number(size) });
  }
  const commit = found.get('commit') ?? { offset: 8, size: 8 };
  return {
    commitOffset: commit.offset,
    commitSize: commit.size,
    dataOffset: found.get('data')?.offset ?? commit.offset + commit.size,
  };
}
