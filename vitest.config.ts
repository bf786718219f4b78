import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/setup.ts'],
    testTimeout: 60_000,
    // The commands under test colour what they print for a CI system's log; here they write to a pipe as anywhere else.
    env: { CI: '' },
    // .ci/run reads how many tests passed from the file.
    reporters: process.env.CI ? ['default', ['json', { outputFile: 'build/test-results.json' }]] : ['default'],
  },
});
