import { execFileSync, type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../folder.js';

/** The package as it is published: packed, and unpacked into the node_modules of an empty project. */

export const root = fileURLToPath(new URL('../..', import.meta.url));

export interface Project {
  /** The empty project's folder. */
  folder: string;
  /** The packed file. */
  tarball: string;
  write(name: string, text: string): string;
  /** Runs a program in the project's folder. */
  run(command: string, ...args: string[]): SpawnSyncReturns<string>;
}

/** Packs what was built and installs it, with the dependencies that package.json names and no other. */
export function packedProject(): Project {
  const folder = temporaryFolder();
  const pack = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder];
  const tarball = join(folder, execFileSync('npm', pack, { cwd: root, encoding: 'utf8' }).trim());
  const modules = join(folder, 'node_modules');
  mkdirSync(modules);
  execFileSync('tar', ['xzf', tarball, '-C', modules]);
  cpSync(join(modules, 'package'), join(modules, 'gemdma'), { recursive: true });
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  const needed = Object.keys(packages).filter((path) => path !== '' && !packages[path].dev);
  for (const path of needed) {
    const name = path.replace(/^node_modules\//, '');
    if (name.includes('/node_modules/')) continue;
    mkdirSync(join(modules, name, '..'), { recursive: true });
    symlinkSync(join(root, path), join(modules, name));
  }
  mkdirSync(join(modules, '.bin'));
  symlinkSync('../gemdma/dist/bundle/cli.js', join(modules, '.bin/gemdma'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n');
  return {
    folder,
    tarball,
    write(name, text) {
      writeFileSync(join(folder, name), text);
      return join(folder, name);
    },
    run: (command, ...args) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' }),
  };
}

/** Files of the installed package, as paths inside it. */
export function filesOf({ folder }: Project): string[] {
  return readdirSync(join(folder, 'node_modules/gemdma'), { recursive: true }) as string[];
}
