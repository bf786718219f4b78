import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A folder for the files of a test file, removed after its last test. To be called outside of tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'gemdma-test-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
