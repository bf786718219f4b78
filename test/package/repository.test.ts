import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { withRepository } from '../../scripts/repository.mjs';
import { temporaryFolder } from '../folder.js';
import { root } from './packed.js';

const folder = temporaryFolder();

test('where the project lives is said once, and derived everywhere else', () => {
  for (const [name, text] of withRepository()) expect(readFileSync(join(root, name), 'utf8'), name).toBe(text);
  const moved = withRepository('somebody/else');
  const manifest = JSON.parse(moved.get('package.json')!);
  expect([manifest.homepage, manifest.bugs, manifest.repository.url]).toEqual([
    'https://github.com/somebody/else#readme',
    'https://github.com/somebody/else/issues',
    'git+https://github.com/somebody/else.git',
  ]);
  expect([...moved.values()].filter((text) => text.includes('github:somebody/else')).length).toBe(2);
  expect(() => withRepository('nowhere')).toThrow('no repository');
});

test('npm install of the checkout gives library and command', () => {
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n');
  execFileSync('npm', ['install', '--offline', '--no-audit', '--no-fund', root], { cwd: folder, stdio: 'pipe' });
  const run = (command: string, ...args: string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  expect(run('npx', '--no-install', 'gemdma', '--version')).toMatchObject({ status: 0, stdout: '0.1.0\n' });
  const program = "import { IovaDomain } from 'gemdma/iova'; console.log(IovaDomain.standalone().alloc(1) > 0);";
  expect(run(process.execPath, '--input-type=module', '-e', program)).toMatchObject({ status: 0, stdout: 'true\n' });
});
