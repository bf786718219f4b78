import { type Command, Help } from 'commander';
import { columns, paragraph } from './print.js';

/** Below so many columns a description has no room beside its option. */
const BESIDE = 72;

/** Help in lines that fit the terminal: commander's own, and on a narrow one each description below its option. */
export function fitting(command: Command): Command {
  return command
    .configureHelp({
      formatItem(term, termWidth, description, helper) {
        if (columns() >= BESIDE) return Help.prototype.formatItem.call(this, term, termWidth, description, helper);
        return [paragraph(term, '  '), ...(description ? [paragraph(description, '      ')] : [])].join('\n');
      },
    })
    .configureOutput({
      writeOut: (text) => {
        process.stdout.write(
          text
            .split('\n')
            .map((line) => paragraph(line))
            .join('\n'),
        );
      },
    });
}
