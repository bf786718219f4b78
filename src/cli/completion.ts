import { Argument, Command, type Option } from 'commander';
import { printLines } from './print.js';

/** gemdma completion: a script for the shell, made from the commands' own descriptions of themselves. */

const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function completionCommand(program: Command): Command {
  return new Command('completion')
    .description('print a script that completes commands, options and their values')
    .addArgument(new Argument('<shell>', 'the shell that reads it').choices(SHELLS))
    .addHelpText(
      'after',
      '\nbash: source <(gemdma completion bash)   zsh: source <(gemdma completion zsh)\n' +
        'fish: gemdma completion fish | source',
    )
    .action((shell: (typeof SHELLS)[number]) => printLines(shell === 'fish' ? fish(program) : bash(program, shell)));
}

/** The words by which an option can be given. */
function flagsOf(option: Option): string[] {
  return [option.short, option.long].filter((flag) => flag !== undefined && flag !== null) as string[];
}

function choicesOf(command: Command): string[] {
  return command.registeredArguments.flatMap(({ argChoices }) => argChoices ?? []);
}

/** For bash; zsh reads it, too, once it has been told to. */
function bash(program: Command, shell: 'bash' | 'zsh'): string[] {
  const commands = program.commands.map((command) => command.name());
  const cases = program.commands.flatMap((command) => [
    `    ${command.name()})`,
    ...command.options.flatMap((option) => {
      const files = option.flags.includes('file>') ? ' $(compgen -f -- "$word")' : '';
      const values = option.argChoices && `$(compgen -W '${option.argChoices.join(' ')}' -- "$word")${files}`;
      if (!option.required && !option.optional) return [];
      const reply = values ?? '$(compgen -f -- "$word")';
      return [`      case "$before" in ${flagsOf(option).join('|')}) COMPREPLY=(${reply}); return;; esac`];
    }),
    `      words='${[...command.options.flatMap(flagsOf), ...choicesOf(command), '--help'].join(' ')}';;`,
  ]);
  return [
    ...(shell === 'zsh' ? ['autoload -Uz bashcompinit && bashcompinit'] : []),
    '_gemdma() {',
    `  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words`,
    `  case "\${COMP_WORDS[1]}" in`,
    ...cases,
    '  esac',
    `  if [ "$COMP_CWORD" -eq 1 ]; then words='${[...commands, '--help', '--version'].join(' ')}'; fi`,
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    `  if [ "$COMP_CWORD" -gt 1 ] && [ "\${word#-}" = "$word" ]; then COMPREPLY+=($(compgen -f -- "$word")); fi`,
    '}',
    'complete -F _gemdma gemdma',
  ];
}

function fish(program: Command): string[] {
  const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  const head = 'complete -c gemdma';
  return [
    ...program.commands.map(
      (command) => `${head} -n __fish_use_subcommand -f -a ${command.name()} -d ${quoted(command.description())}`,
    ),
    ...program.commands.flatMap((command) => {
      const inside = `${head} -n '__fish_seen_subcommand_from ${command.name()}'`;
      return [
        ...choicesOf(command).map((choice) => `${inside} -f -a ${choice}`),
        ...command.options.map(({ short, long, flags, description, required, argChoices }) =>
          [
            inside,
            short && `-s ${short.slice(1)}`,
            long && `-l ${long.slice(2)}`,
            required && '-r',
            argChoices && `${flags.includes('file>') ? '' : '-f '}-a ${quoted(argChoices.join(' '))}`,
            `-d ${quoted(description)}`,
          ]
            .filter(Boolean)
            .join(' '),
        ),
      ];
    }),
  ];
}
