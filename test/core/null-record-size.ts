import { readFileSync } from 'node:fs';

const { options } = JSON.parse(readFileSync(new URL('../../asconfig.json', import.meta.url), 'utf8'));

/** Bytes of the null record: what the compiler leaves free below the core's own. */
export const NULL_RECORD: number = options.memoryBase;
