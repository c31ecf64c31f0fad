import type { Command } from './command.ts'
import { alertCommands } from './commands/alerts.ts'
import { busUsersCommand } from './commands/bus-users.ts'
import { marketCommands } from './commands/markets.ts'
import { memberCommands } from './commands/members.ts'
import { slotCommands } from './commands/slots.ts'
import { statsCommands } from './commands/stats.ts'
import { statusCommand } from './commands/status.ts'
import { tracingCommand } from './commands/tracing.ts'

export const COMMANDS: readonly Command[] = [
  statusCommand,
  ...marketCommands,
  ...memberCommands,
  ...slotCommands,
  ...alertCommands,
  ...statsCommands,
  tracingCommand,
  busUsersCommand,
]

const RUN = 'npm run exchange --'

export function helpText(): string {
  const names = COMMANDS.map((command) => usageOf(command))
  const width = Math.max(...names.map((name) => name.length))
  const lines = COMMANDS.map(({ summary }, index) => `  ${(names[index] ?? '').padEnd(width)}  ${summary}`)
  return `What an operator asks of the exchange, and tells it.

  ${RUN} COMMAND [--json]
  ${RUN} help COMMAND     more about one of them, with an example

${lines.join('\n')}

MEMBER is an id or an e-mail address. With --json the answer is JSON. The exit code is 0, or 1 where something is not well or
was refused, or 2 where the command was not understood or nothing could be asked.
It looks at the npm start that runs; for others: NATS_URL, EXCHANGE_URL, EXCHANGE_ADMIN_EMAIL, EXCHANGE_ADMIN_PASSWORD.`
}

export function helpOf(command: Command): string {
  const options = Object.entries(command.options).map(([name, text]) => `  --${name} ${text}`)
  return [
    `${RUN} ${usageOf(command)}`,
    '',
    command.summary,
    command.help,
    ...(options.length === 0 ? [] : ['', ...options]),
    '',
    `  ${RUN} ${command.example}`,
  ].join('\n')
}

const usageOf = ({ name, arguments: args }: Command): string => [name, ...args].join(' ')
