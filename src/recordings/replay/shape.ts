import type { FieldReader } from './recording.js';

/**
 * Which fields a line of a recording has, and of which type: a line with a field too few, too many or of another type is
 * refused, since what is not there is compared with nothing. A shape is written as text:
 *
 *     iova:hex size:int     both
 *     [grown:int]           this one or not
 *     leaf:list|tables:list exactly one of them
 *     ...                   and any others, which are remarks of the recorder
 */

const TYPES: Readonly<Record<string, { is: (value: unknown) => boolean; what: string }>> = {
  hex: { is: (value) => typeof value === 'string' && /^[0-9a-f]{1,16}$/.test(value), what: 'a hexadecimal number' },
  'hex?': { is: (value) => value === null || TYPES.hex.is(value), what: 'a hexadecimal number or null' },
  int: { is: (value) => Number.isSafeInteger(value) && (value as number) >= 0, what: 'a whole number' },
  num: { is: (value) => typeof value === 'number' && value >= 0, what: 'a number' },
  rc: { is: (value) => Number.isSafeInteger(value), what: 'a number or a negative errno' },
  bit: { is: (value) => value === 0 || value === 1, what: '0 or 1' },
  flag: { is: (value) => typeof value === 'boolean', what: 'true or false' },
  text: { is: (value) => typeof value === 'string', what: 'text' },
  list: { is: Array.isArray, what: 'a list' },
  record: {
    is: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
    what: 'an object',
  },
  any: { is: () => true, what: 'anything' },
};

export interface Shape {
  /** One entry per field or choice of fields. */
  readonly wanted: readonly { readonly fields: readonly string[]; readonly optional: boolean }[];
  readonly types: ReadonlyMap<string, string>;
  readonly open: boolean;
}

/** Reads a shape from its text; several texts are one shape. */
export function shape(...texts: string[]): Shape {
  const types = new Map<string, string>();
  const tokens = texts.flatMap((text) => text.split(/\s+/)).filter((token) => token !== '');
  const wanted = tokens
    .filter((token) => token !== '...')
    .map((token) => {
      const [, open, choices, close] = /^(\[?)([^[\]]+)(\]?)$/.exec(token) ?? [];
      if (choices === undefined || (open === '') !== (close === ''))
        throw new Error(`not a field of a shape: ${token}`);
      const fields = choices.split('|').map((choice) => {
        const [name, type] = choice.split(':');
        if (!(type in TYPES)) throw new Error(`not a type of a shape: ${choice}`);
        types.set(name, type);
        return name;
      });
      return { fields, optional: open !== '' };
    });
  return { wanted, types, open: tokens.includes('...') };
}

/** Shapes by name, from their texts. */
export function shapes<Name extends string>(texts: Readonly<Record<Name, string>>): Readonly<Record<Name, Shape>> {
  const entries = Object.entries<string>(texts).map(([name, text]) => [name, shape(text)]);
  return Object.fromEntries(entries);
}

/**
 * Holds a record against its shape.
 * @param what the record is, in the message
 * @throws RecordingError that names the line and the field
 */
export function checkShape(
  read: FieldReader,
  line: number,
  record: Readonly<Record<string, unknown>>,
  { wanted, types, open }: Shape,
  what: string,
): void {
  for (const { fields, optional } of wanted) {
    const there = fields.filter((name) => record[name] !== undefined);
    if (there.length === 0 && !optional) read.fail(line, `${what} without ${fields.join(' or ')}`);
    if (there.length > 1) read.fail(line, `${what} with both ${there.join(' and ')}`);
  }
  for (const [name, value] of Object.entries(record)) {
    const type = types.get(name);
    if (type === undefined) {
      if (!open) read.fail(line, `${what} with ${name}, which is not known`);
    } else if (!TYPES[type].is(value)) {
      read.fail(line, `${name} of ${what} is not ${TYPES[type].what}: ${JSON.stringify(value)}`);
    }
  }
}
