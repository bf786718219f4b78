import type { StressFailure } from './failure.js';
import { kindOf } from './kinds.js';
import type { Operation } from './operation.js';
import type { StressConfig } from './profiles.js';

/**
 * Recorded operations as a program against the public API. It is TypeScript that is JavaScript as well, so that it can be
 * run as it stands, and it ends with an error that names the failure.
 */
export function printProgram(config: StressConfig, failure: StressFailure, operations: readonly Operation[]): string {
  const body = operations.flatMap((operation) => kindOf(operation).print(operation));
  const text = body.join('\n');
  const names = ['Machine', ...IMPORTED.filter((name) => new RegExp(`\\b${name}\\b`).test(text))];
  if (/\bprocess\b/.test(text)) names.push('Process');
  const lines = [
    `// ${failure.kind} ${failure.id}: ${failure.message}`,
    `// Found by gemdma stress --profile ${config.profile} --seed ${config.seed} --driver ${config.driver}.`,
    `import { ${names.sort().join(', ')} } from 'gemdma';`,
    '',
    ...(/\bstamped\(/.test(text) ? STAMPED : []),
    `const machine = new Machine(${literal(config.machine)});`,
  ];
  config.gpus.forEach((options, i) => {
    if (new RegExp(`\\bgpu${i}\\b`).test(text)) lines.push(`const gpu${i} = machine.addI915(${literal(options)});`);
  });
  config.devices.forEach((maskBits, i) => {
    if (new RegExp(`\\bdevice${i}\\b`).test(text)) {
      lines.push(`const device${i} = machine.addDevice({ maskBits: ${maskBits} });`);
    }
  });
  if (/\bprocess\b/.test(text)) lines.push('const process = new Process(machine.ram);');
  return `${[...lines, '', ...body, '', ...verdict(failure), ''].join('\n')}`;
}

/** What operations may need besides. */
const IMPORTED = ['ScatterTable', 'deviceRead', 'deviceWrite'];

/** The bytes of contents.ts, stamped(): the program must write the same. */
const STAMPED = [
  'const stamped = (stamp, length) => {',
  '  let state = stamp | 1;',
  '  return Uint8Array.from({ length }, () => (state = Math.imul(state, 0x2c9277b5) + 0xac564b05) >>> 24);',
  '};',
];

/** What must hold at the end, and does not. */
function verdict(failure: StressFailure): string[] {
  if (failure.kind === 'finding') {
    return ['const [finding] = machine.dmaDebug.findings;', 'if (finding) throw new Error(finding.message);'];
  }
  if (failure.kind === 'accounting' || failure.kind === 'teardown') {
    return [
      'const { maps, unmaps } = machine.devices[0].counts;',
      "throw new Error(maps - unmaps + ' mappings are live');",
    ];
  }
  return ['machine.check();'];
}

/** A value as a JavaScript literal, without quotes where names need none. */
function literal(value: unknown): string {
  return JSON.stringify(value, null, 1)
    .replace(/"([A-Za-z_]\w*)":/g, '$1:')
    .replace(/"/g, "'")
    .replace(/\n\s*/g, ' ');
}
