import { ConfigError } from '#mesh/config.ts'
import { RpcError } from '#mesh/rpc.ts'
import { parseCommandLine } from './arguments.ts'
import { COMMANDS, helpOf, helpText } from './commands.ts'
import { Connections } from './connections.ts'
import { UsageError } from './errors.ts'

export interface Outcome {
  /** 0; 1: not well, or refused; 2: the command is not understood, or nothing can be asked. */
  readonly exitCode: 0 | 1 | 2
  readonly output: string
  readonly isError: boolean
}

/** One command, from its words to what is printed. */
export async function runCommandLine(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Outcome> {
  try {
    const { name, args, isHelp, isJson } = parseCommandLine(argv, COMMANDS)
    const command = COMMANDS.find((one) => one.name === name)
    if (command === undefined) return { exitCode: 0, output: helpText(), isError: false }
    if (isHelp) return { exitCode: 0, output: helpOf(command), isError: false }
    await using connections = new Connections(env)
    const { json, text, isWell = true } = await command.run(connections, args)
    return { exitCode: isWell ? 0 : 1, output: isJson ? JSON.stringify(json, undefined, 2) : text, isError: false }
  } catch (error) {
    const code = error instanceof RpcError ? ` (${error.code})` : ''
    const isUsage = error instanceof UsageError || error instanceof ConfigError
    const message = error instanceof Error ? error.message : String(error)
    return { exitCode: isUsage ? 2 : 1, output: `✖ ${message}${code}`, isError: true }
  }
}
