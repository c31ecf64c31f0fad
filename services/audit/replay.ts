// `npm run replay`: a book, or a member's balances and open orders, as of any position in the log.
import { parseArgs } from 'node:util'
import { jetstreamManager } from '@nats-io/jetstream'
import { findServers } from '#launcher/running-servers.ts'
import { attachArchive } from '#mesh/archive/attached.ts'
import { ConfigError, wholeNumber } from '#mesh/config.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { readDefinitions } from './definitions.ts'
import type { Until } from './replay-slot.ts'
import { NoMesh, shapeOf } from './shape.ts'
import { accountsAsOf, bookAsOf, memberAsOf, slotOfMarketsAsOf, type View } from './views.ts'

const HELP = `npm run replay -- --until SEQUENCE[-ITEM] (--member ID | --instrument NAME | --log LOG --slot N) [--json]

Replays a slot's log up to that position and prints what it was then: with --member (log accounts) the member's balances and
open orders, with --instrument (log markets) the book, with --log accounts|markets and --slot the sums of the whole slot.

  --until   a sequence of the stream ACCOUNTS or MARKETS; a position as members see it (SEQUENCE-ITEM-EVENT) will do
  --levels  of the book, at most (default 20)
  --json    one line of JSON instead of tables`

try {
  const { values } = parseArgs({
    options: {
      until: { type: 'string' },
      log: { type: 'string' },
      slot: { type: 'string' },
      member: { type: 'string' },
      instrument: { type: 'string' },
      levels: { type: 'string', default: '20' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help || values.until === undefined) console.log(HELP)
  else await run({ ...values, until: values.until })
  if (!values.help && values.until === undefined) process.exitCode = 2
} catch (error) {
  console.error(
    `✖ ${error instanceof ConfigError || error instanceof NoMesh || !(error instanceof Error) ? String(error instanceof Error ? error.message : error) : error.stack}`,
  )
  process.exitCode = 2
}

interface Values {
  readonly until: string
  readonly log?: string | undefined
  readonly slot?: string | undefined
  readonly member?: string | undefined
  readonly instrument?: string | undefined
  readonly levels: string
  readonly json: boolean
}

async function run(values: Values): Promise<void> {
  const until = parseUntil(values.until)
  const { natsUrl, archiveDirectory } = findServers()
  const nats = await connectNats(natsUrl, 'replay')
  if (archiveDirectory !== undefined) attachArchive(nats, archiveDirectory)
  try {
    const view = await viewOf(nats, values, until)
    if (values.json) console.log(JSON.stringify(view.json))
    else for (const line of view.lines) console.log(line)
  } finally {
    await nats.close()
  }
}

async function viewOf(nats: Awaited<ReturnType<typeof connectNats>>, values: Values, until: Until): Promise<View> {
  const shape = await shapeOf(await jetstreamManager(nats))
  const definitions = await readDefinitions(nats)
  const source = { nats, shape, definitions, until }
  const isFor = (log: Log): void => {
    if (values.log !== undefined && values.log !== log)
      throw new ConfigError(`That is in the log ${log}, not ${values.log}.`)
  }
  const checkSlot = (slot: number): number => {
    if (values.slot === undefined || Number(values.slot) === slot) return slot
    throw new ConfigError(`That is in slot ${slot}, not ${values.slot}.`)
  }
  if (values.member !== undefined) {
    isFor(Log.accounts)
    const memberId = wholeNumber('--member', values.member, 1, Number.MAX_SAFE_INTEGER)
    return memberAsOf(source, checkSlot(accountSlotOf(memberId, shape.accountSlots)), memberId)
  }
  if (values.instrument !== undefined) {
    isFor(Log.markets)
    const market = definitions.markets.get(values.instrument)
    if (market === undefined) throw new ConfigError(`There is no market ${values.instrument}.`)
    const levelsMax = wholeNumber('--levels', values.levels, 1, 5_000)
    return bookAsOf(source, checkSlot(market.marketSlot), values.instrument, levelsMax)
  }
  const slots = values.log === Log.accounts ? shape.accountSlots : shape.marketSlots
  if (values.log !== Log.accounts && values.log !== Log.markets) {
    throw new ConfigError(
      `Say --member, --instrument, or --log accounts|markets with --slot (${STREAM_OF_LOG.accounts}, ${STREAM_OF_LOG.markets}).`,
    )
  }
  const slot = wholeNumber('--slot', values.slot ?? '', 0, slots - 1)
  return values.log === Log.accounts ? accountsAsOf(source, slot) : slotOfMarketsAsOf(source, slot)
}

function parseUntil(text: string): Until {
  const [, sequence, item] = /^([0-9]{1,15})(?:-([0-9]{1,9}))?(?:-[0-9]{1,9})?$/.exec(text) ?? []
  if (sequence === undefined) throw new ConfigError(`--until is a sequence or a position like 512-0, not "${text}".`)
  return { sequence: Number(sequence), item: item === undefined ? undefined : Number(item) }
}
