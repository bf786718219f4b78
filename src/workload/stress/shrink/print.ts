import { type PolicySource, policyImport, type Sources } from '../config/policy.js';
import type { StressConfig } from '../config/profiles.js';
import type { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import { kindOf } from '../operations/kinds.js';

/**
 * Recorded operations as a program against the public API. It is TypeScript that is JavaScript as well, so that it can be
 * run as it stands, and it ends with an error that names the failure. A policy of somebody's own is imported from where
 * `sources` has it.
 */
export function printProgram(
  config: StressConfig,
  failure: StressFailure,
  operations: readonly Operation[],
  { refused = new Set(), policy, sources }: ProgramOptions = {},
): string {
  const body = operations.flatMap((operation, i) => {
    const lines = kindOf(operation).print(operation);
    return refused.has(i) ? ['refused(() => {', ...lines.map((line) => `  ${line}`), '});'] : lines;
  });
  if (failure.kind === 'contents') body.push(...comparison(body.pop() ?? '', failure));
  const text = body.join('\n');
  const names = ['Machine', ...IMPORTED.filter((name) => new RegExp(`\\b${name}\\b`).test(text))];
  if (/\bprocess\b/.test(text)) names.push('Process');
  const lines = [
    `// ${failure.kind} ${failure.id}: ${failure.message}`,
    `// Found by gemdma stress: profile ${config.profile}, seed ${config.seed}, policy '${config.driver}'.`,
    `import { ${names.sort().join(', ')} } from 'gemdma';`,
    ...(policy ? policyImport(sources) : []),
    '',
    ...(/\bstamped\(/.test(text) ? STAMPED : []),
    ...(refused.size > 0 ? REFUSED : []),
    `const machine = new Machine(${literal(config.machine)});`,
  ];
  config.gpus.forEach((options, i) => {
    if (!new RegExp(`\\bgpu${i}\\b`).test(text)) return;
    const own = typeof policy === 'function' ? 'policy: policy()' : 'policy';
    const all = policy ? `{ ...${literal(options)}, ${own} }` : literal(options);
    lines.push(`const gpu${i} = machine.addI915(${all});`);
  });
  config.devices.forEach((maskBits, i) => {
    if (new RegExp(`\\bdevice${i}\\b`).test(text)) {
      lines.push(`const device${i} = machine.addDevice({ maskBits: ${maskBits} });`);
    }
  });
  if (failure.kind === 'accounting' || failure.kind === 'teardown') lines.push(...LIVE);
  if (/\bprocess\b/.test(text)) lines.push('const process = new Process(machine.ram);');
  return `${[...lines, '', ...body, '', ...verdict(failure, operations), ''].join('\n')}`;
}

export interface ProgramOptions {
  /** Indexes of operations that the emulated kernel refuses. */
  refused?: ReadonlySet<number>;
  policy?: PolicySource;
  sources?: Sources;
}

/** What operations may need besides. */
const IMPORTED = ['ScatterTable', 'deviceRead', 'deviceWrite'];

/** An operation that the emulated kernel refuses on the way to the failure, as it must. */
const REFUSED = [
  'const refused = (operation) => {',
  '  try {',
  '    operation();',
  '  } catch (error) {',
  "    if (error.name !== 'GemDmaError') throw error;",
  '  }',
  '};',
];

/** Live DMA mappings, and how many there are before anything is done. */
const LIVE = [
  'const live = () => machine.devices.reduce((sum, { counts }) => sum + counts.maps - counts.unmaps, 0);',
  'const before = live();',
];

/** The bytes of contents.ts, stamped(): the program must write the same. */
const STAMPED = [
  'const stamped = (stamp, length) => {',
  '  let state = stamp | 1;',
  '  return Uint8Array.from({ length }, () => (state = Math.imul(state, 0x2c9277b5) + 0xac564b05) >>> 24);',
  '};',
];

/** A last line that reads bytes, as one that looks at the byte that was wrong. */
function comparison(line: string, { details, id }: StressFailure): string[] {
  const { index, expected } = details;
  if (index === undefined || !/^\w+\.p?read\(.*\);$/.test(line)) return [line];
  return [
    `const bytes = ${line}`,
    `if (bytes[${index}] !== ${expected}) throw new Error(\`the ${id} reads \${bytes[${index}]}, not ${expected}\`);`,
  ];
}

/** What must hold at the end, and does not. */
function verdict(failure: StressFailure, operations: readonly Operation[]): string[] {
  if (failure.kind === 'finding') {
    return [
      'const [finding] = machine.dmaDebug.findings;',
      "if (finding) throw new Error(finding.check + ': ' + finding.message);",
    ];
  }
  if (failure.kind === 'accounting' || failure.kind === 'teardown') {
    return [
      ...givingBack(operations).flatMap((operation) => kindOf(operation).print(operation)),
      'machine.clock.advance(1000);',
      "if (live() !== before) throw new Error(live() - before + ' DMA mappings are left');",
    ];
  }
  return ['machine.check();'];
}

/** The operation that gives back what another made. */
const ENDS: Readonly<Record<string, (id: number, maker: Operation) => Operation>> = {
  map: (id, maker) => ({ ...maker, op: 'unmap', map: id }),
  mapSg: (id, maker) => ({ ...maker, op: 'unmapSg', map: id }),
  coherent: (id) => ({ op: 'coherentFree', map: id }),
  mapResource: (id, maker) => ({ ...maker, op: 'unmapResource', map: id }),
  attach: (id) => ({ op: 'detach', map: id }),
  reserve: (id) => ({ op: 'unreserve', map: id }),
  link: (id, maker) => ({ ...maker, op: 'unlink', map: id }),
  create: (id) => ({ op: 'close', bo: id }),
  stolen: (id) => ({ op: 'close', bo: id }),
  userptr: (id) => ({ op: 'close', bo: id }),
  import: (id) => ({ op: 'close', bo: id }),
  context: (id) => ({ op: 'contextClose', ctx: id }),
};

/** Operations that give back whatever is still there after these, the newest first. */
function givingBack(operations: readonly Operation[]): Operation[] {
  const open = new Map<unknown, Operation>();
  const ends = new Set(Object.values(ENDS).map((end) => end(0, { op: '' }).op));
  for (const operation of operations) {
    if (operation.op in ENDS) open.set(operation.id, operation);
    else if (ends.has(operation.op)) {
      open.delete(operation.map ?? operation.bo ?? operation.ctx);
      // A range that is given back takes what is linked in it along.
      open.delete(operation.linked);
    }
  }
  return [...open.entries()].reverse().map(([id, maker]) => ENDS[maker.op](id as number, maker));
}

/** A value as a JavaScript literal, without quotes where names need none. */
function literal(value: unknown): string {
  return JSON.stringify(value, null, 1)
    .replace(/"([A-Za-z_]\w*)":/g, '$1:')
    .replace(/"/g, "'")
    .replace(/\n\s*/g, ' ');
}
