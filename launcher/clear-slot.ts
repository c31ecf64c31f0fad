// `npm run clear-slot -- engine 2`: lets a halted slot go on; without arguments it lists the halted ones.
import { parseArgs } from 'node:util'
import { ConfigError, wholeNumber } from '#mesh/config.ts'
import { clearSlot, type HaltedSlot, haltedSlots } from '#mesh/machine/halts.ts'
import { connectNats } from '#mesh/service.ts'
import { LOG_OF_SERVICE, type Log } from '#mesh/subjects.ts'
import { findServers } from './running-servers.ts'

const HELP = `npm run clear-slot -- [accounts|engine|definitions SLOT]

Lets a slot go on that has halted, when what halted it is gone: its last owner recovers it from its log. Without arguments
it lists the halted slots. Looks at the running npm start, or at NATS_URL. Exits with 1 when the slot is not halted.`

const SLOTS_MAX = 256

try {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: 'boolean', short: 'h', default: false } },
  })
  if (values.help) console.log(HELP)
  else await run(positionals)
} catch (error) {
  console.error(`✖ ${error instanceof Error ? error.message : String(error)}`)
  process.exitCode = 2
}

async function run(args: readonly string[]): Promise<void> {
  const wanted = args.length === 0 ? undefined : slotOf(args)
  const nats = await connectNats(findServers().natsUrl, 'clear-slot')
  try {
    if (wanted === undefined) await list()
    else await clear(wanted.log, wanted.slot)
  } finally {
    await nats.close()
  }

  async function list(): Promise<void> {
    const halted = await haltedSlots(nats)
    for (const one of halted) console.log(describe(one))
    if (halted.length === 0) console.log('No slot is halted.')
  }

  async function clear(log: Log, slot: number): Promise<void> {
    const cleared = await clearSlot(nats, log, slot)
    if (cleared === undefined) {
      console.error(`✖ ${args.join(' ')} is not halted.`)
      process.exitCode = 1
    } else console.log(`✔ Cleared: ${describe(cleared)}`)
  }
}

/** @throws ConfigError */
function slotOf([service = '', slot = '', ...rest]: readonly string[]): { log: Log; slot: number } {
  const log = LOG_OF_SERVICE.get(service)
  if (log === undefined || rest.length > 0) throw new ConfigError(`Which slot?\n\n${HELP}`)
  return { log, slot: wholeNumber('SLOT', slot, 0, SLOTS_MAX - 1) }
}

function describe({ log, slot, code, reason, sequence, at, instance }: HaltedSlot): string {
  const service = [...LOG_OF_SERVICE].find(([, one]) => one === log)?.[0]
  return `${service} ${slot}: ${code} at message ${sequence}, ${at}, seen by ${instance}. ${reason}`
}
