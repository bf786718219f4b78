import { commentText, literal } from '../config/literal.js';
import type { StressFailure } from '../engine/failure.js';
import type { Operation } from '../engine/operation.js';
import type { StressConfig } from '../world/profile.js';
import type { Repertoire } from '../world/vocabulary.js';
import { exportsFor } from './program.js';

/**
 * Recorded operations as a program against the public API. It is TypeScript that is JavaScript as well, so that it can be
 * run as it stands, and it ends with an error that names the failure.
 * @param refused indexes of operations that the emulated kernel refuses
 */
export function printProgram(
  config: StressConfig,
  failure: StressFailure,
  operations: readonly Operation[],
  repertoire: Repertoire,
  refused: ReadonlySet<number> = new Set(),
): string {
  const body = operations.flatMap((operation, i) => {
    const lines = repertoire.kindOf(operation).print(operation);
    return refused.has(i) ? ['refused(() => {', ...lines.map((line) => `  ${line}`), '});'] : lines;
  });
  if (failure.kind === 'contents') body.push(...comparison(body.pop() ?? '', failure));
  const text = body.join('\n');
  const names = (inText: string) => (name: string) => new RegExp(`\\b${name}\\b`).test(inText);
  const programs = repertoire.vocabularies.map(({ program }) => program);
  const setup = programs.flatMap((program) => program.setup(config, names(text)));
  const imported = Object.keys(exportsFor(repertoire)).filter(names(['Machine', ...setup, text].join('\n')));
  const lines = [
    `// ${commentText(`${failure.kind} ${failure.id}: ${failure.message}`)}`,
    `// Found by gemdma stress: profile ${commentText(config.profile)}, seed ${config.seed}, subject '${commentText(config.subject)}'.`,
    `import { ${imported.sort().join(', ')} } from 'gemdma';`,
    ...programs.flatMap(({ imports = [] }) => imports),
    '',
    ...(/\bstamped\(/.test(text) ? STAMPED : []),
    ...(refused.size > 0 ? REFUSED : []),
    `const machine = new Machine(${literal(config.machine)});`,
    ...setup,
    ...(failure.kind === 'accounting' || failure.kind === 'teardown' ? LIVE : []),
  ];
  return `${[...lines, '', ...body, '', ...verdict(failure, operations, repertoire), ''].join('\n')}`;
}

/** An operation that the emulated kernel refuses before the failure, as it must. */
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

/** A last line that reads bytes is printed with a comparison of the byte that was wrong. */
function comparison(line: string, { details, id }: StressFailure): string[] {
  const { index, expected } = details;
  if (index === undefined || !/^\w+\.p?read\(.*\);$/.test(line)) return [line];
  return [
    `const bytes = ${line}`,
    `if (bytes[${index}] !== ${expected}) throw new Error(\`the ${id} reads \${bytes[${index}]}, not ${expected}\`);`,
  ];
}

/** Lines that fail at the end if the failure is there. */
function verdict(failure: StressFailure, operations: readonly Operation[], repertoire: Repertoire): string[] {
  if (failure.kind === 'finding') {
    return [
      'const [finding] = machine.dmaDebug.findings;',
      "if (finding) throw new Error(finding.check + ': ' + finding.message);",
    ];
  }
  if (failure.kind === 'accounting' || failure.kind === 'teardown') {
    return [
      ...givingBack(operations, repertoire).flatMap((operation) => repertoire.kindOf(operation).print(operation)),
      'machine.clock.advance(1000);',
      "if (live() !== before) throw new Error(live() - before + ' DMA mappings are left');",
    ];
  }
  return ['machine.check();'];
}

/** Operations that give back whatever is still there after these, the newest first. */
function givingBack(operations: readonly Operation[], repertoire: Repertoire): Operation[] {
  const open = new Map<number, Operation>();
  for (const operation of operations) {
    const end = repertoire.endOf(operation);
    if (end !== undefined) open.set(operation.id as number, end);
    else for (const id of repertoire.endedBy(operation)) open.delete(id);
  }
  return [...open.values()].reverse();
}
