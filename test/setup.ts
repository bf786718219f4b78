import { watchRelease } from '../src/core/instance.js';
import { NULL_RECORD } from './core/null-record-size.js';

// Whatever a test does, no call may write to the null record.
watchRelease(NULL_RECORD);
