import { parseArgs } from 'node:util'
import { UsageError } from './errors.ts'

/** What a command may be told: each option has a value. */
export interface CommandShape {
  readonly name: string
  /** `MEMBER`; `[SLOT]` may be left out. */
  readonly arguments: readonly string[]
  readonly options: Readonly<Record<string, string>>
}

export interface Arguments {
  readonly positionals: readonly string[]
  readonly options: Readonly<Record<string, string>>
}

export interface CommandLine {
  /** Undefined: help. */
  readonly name: string | undefined
  readonly args: Arguments
  readonly isHelp: boolean
  readonly isJson: boolean
}

/** @throws UsageError */
export function parseCommandLine(argv: readonly string[], commands: readonly CommandShape[]): CommandLine {
  const known = new Set(commands.flatMap(({ options }) => Object.keys(options)))
  const { values, positionals } = parsed(argv, known)
  const { help: isHelp = false, json: isJson = false, ...given } = values
  const options = given as Record<string, string>
  const [first, ...rest] = positionals
  if (first === undefined || (first === 'help' && rest.length === 0)) return line(undefined)
  const isAskedFor = first === 'help'
  // Most names have one word, some two: `alerts test`.
  const words = isAskedFor ? rest : positionals
  const command = [...commands]
    .sort((a, b) => b.name.length - a.name.length)
    .find(({ name }) => `${words.join(' ')} `.startsWith(`${name} `))
  if (command === undefined) {
    const near = commands.filter(({ name }) => name.startsWith((words[0] ?? '').slice(0, 3))).map(({ name }) => name)
    const hint = near.length === 0 ? '' : ` Did you mean ${near.join(' or ')}?`
    throw new UsageError(`There is no command "${words.join(' ')}".${hint} See: npm run exchange -- help`)
  }
  const own = words.slice(command.name.split(' ').length)
  if (isHelp || isAskedFor) return { ...line(command.name), isHelp: true }
  const needed = command.arguments.filter((name) => !name.startsWith('[')).length
  if (own.length < needed || own.length > command.arguments.length) {
    const usage = [command.name, ...command.arguments].join(' ')
    const what =
      own.length < needed ? `needs ${command.arguments[own.length]}` : `takes no "${own[command.arguments.length]}"`
    throw new UsageError(`${command.name} ${what}: npm run exchange -- ${usage}`)
  }
  for (const option of Object.keys(options)) {
    if (!(option in command.options)) throw new UsageError(`${command.name} has no option --${option}.`)
  }
  return { name: command.name, args: { positionals: own, options }, isHelp: false, isJson: isJson === true }

  function line(name: string | undefined): CommandLine {
    return { name, args: { positionals: [], options: {} }, isHelp: isHelp === true, isJson: isJson === true }
  }
}

function parsed(argv: readonly string[], valued: ReadonlySet<string>) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h' },
        json: { type: 'boolean' },
        ...Object.fromEntries([...valued].map((name) => [name, { type: 'string' as const }])),
      },
    })
  } catch (error) {
    throw new UsageError(`${(error as Error).message} See: npm run exchange -- help`)
  }
}
