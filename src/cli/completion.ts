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

/** Values of which there are too many for a help text, and those that upper and lower case may be written in. */
const OTHER_VALUES = new WeakMap<Option | Argument, readonly string[]>();

/** Tells completion what an option or argument can be. */
export function completed<Item extends Option | Argument>(item: Item, values: readonly string[]): Item {
  OTHER_VALUES.set(item, values);
  return item;
}

/** The words by which an option can be given. */
function flagsOf(option: Option): string[] {
  return [option.short, option.long].filter((flag) => flag !== undefined && flag !== null) as string[];
}

function choicesOf(command: Command): string[] {
  return command.registeredArguments.flatMap((argument) => argument.argChoices ?? OTHER_VALUES.get(argument) ?? []);
}

/** Commands with their words after `gemdma`: `run`, `driver`, `driver build`, ... */
function allOf(program: Command): { path: string[]; command: Command }[] {
  return program.commands.flatMap((command) => [
    { path: [command.name()], command },
    ...command.commands.map((inner) => ({ path: [command.name(), inner.name()], command: inner })),
  ]);
}

function namesOf(command: Command): string[] {
  return command.commands.map((inner) => inner.name());
}

/** For bash, and for zsh through bashcompinit. */
function bash(program: Command, shell: 'bash' | 'zsh'): string[] {
  const groups = program.commands.filter((command) => command.commands.length > 0).map((command) => command.name());
  const cases = allOf(program).flatMap(({ path, command }) => [
    `    '${path.join(' ')}')`,
    ...command.options.flatMap((option) => {
      const files = option.flags.includes('file>') ? ' $(compgen -P "$prefix" -f -- "$word")' : '';
      const choices = option.argChoices ?? OTHER_VALUES.get(option);
      const values = choices && `$(compgen -P "$prefix" -W '${choices.join(' ')}' -- "$word")${files}`;
      if (!option.required && !option.optional) return [];
      const reply = values ?? '$(compgen -P "$prefix" -f -- "$word")';
      return [`      case "$before" in ${flagsOf(option).join('|')}) COMPREPLY=(${reply}); return;; esac`];
    }),
    `      words='${[...namesOf(command), ...command.options.flatMap(flagsOf), ...choicesOf(command), '--help'].join(' ')}';;`,
  ]);
  return [
    ...(shell === 'zsh' ? ['autoload -Uz bashcompinit && bashcompinit'] : []),
    '_gemdma() {',
    `  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path="\${COMP_WORDS[1]}" words files=1 prefix=`,
    `  case "$path" in ${groups.join('|')})`,
    `    if [ "$COMP_CWORD" -gt 2 ]; then path="$path \${COMP_WORDS[2]}"; else files=; fi;;`,
    '  esac',
    // bash takes --option=value for three words, zsh for one.
    `  case "$word" in --*=*) before="\${word%%=*}"; prefix="$before="; word="\${word#*=}";; esac`,
    '  if [ "$word" = "=" ]; then word=; before="=" ; COMP_CWORD=$((COMP_CWORD+1)); fi',
    `  if [ "$before" = "=" ]; then before="\${COMP_WORDS[COMP_CWORD-2]}"; fi`,
    '  case "$path" in',
    ...cases,
    `    help) files=; words='${namesOf(program).join(' ')}';;`,
    '  esac',
    `  if [ "$COMP_CWORD" -eq 1 ]; then files=; words='${[...namesOf(program), 'help', '--help', '--version'].join(' ')}'; fi`,
    '  COMPREPLY=($(compgen -W "$words" -- "$word"))',
    `  if [ "$files" ] && [ "\${word#-}" = "$word" ]; then COMPREPLY+=($(compgen -f -- "$word")); fi`,
    '}',
    'complete -F _gemdma gemdma',
  ];
}

function fish(program: Command): string[] {
  const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  const seen = (names: readonly string[]): string => `__fish_seen_subcommand_from ${names.join(' ')}`;
  const item = (when: string, command: Command): string =>
    `complete -c gemdma -n ${quoted(when)} -f -a ${command.name()} -d ${quoted(command.description())}`;
  const groups = program.commands.filter((command) => command.commands.length > 0);
  return [
    ...program.commands.map((command) => item('__fish_use_subcommand', command)),
    `complete -c gemdma -n __fish_use_subcommand -f -a help -d ${quoted('help of a command')}`,
    `complete -c gemdma -n ${quoted(seen(['help']))} -f -a ${quoted(namesOf(program).join(' '))}`,
    ...groups.flatMap((group) =>
      group.commands.map((inner) => item(`${seen([group.name()])}; and not ${seen(namesOf(group))}`, inner)),
    ),
    ...allOf(program).flatMap(({ path, command }) => {
      // `run` is both a command and a sub-command of `driver`.
      const others = groups.filter((group) => path.length === 1 && namesOf(group).includes(path[0]));
      const when = [...path.map((name) => seen([name])), ...others.map((group) => `not ${seen([group.name()])}`)].join(
        '; and ',
      );
      const inside = `complete -c gemdma -n ${quoted(when)}`;
      return [
        ...choicesOf(command).map((choice) => `${inside} -f -a ${choice}`),
        ...command.options.map((option) => {
          const { short, long, flags, description, required } = option;
          const argChoices = option.argChoices ?? OTHER_VALUES.get(option);
          return [
            inside,
            short && `-s ${short.slice(1)}`,
            long && `-l ${long.slice(2)}`,
            // fish has no options with an optional value: these are declared as if the value were required.
            (required || argChoices) && '-r',
            argChoices && `${flags.includes('file>') ? '' : '-f '}-a ${quoted(argChoices.join(' '))}`,
            `-d ${quoted(description)}`,
          ]
            .filter(Boolean)
            .join(' ');
        }),
      ];
    }),
  ];
}
