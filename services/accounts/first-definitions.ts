import { JetStreamApiError, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import { createStore, StoreRefused } from '#mesh/store.ts'
import { commandSubject, DEFINITIONS_SLOT, Log, STREAM_OF_LOG, slotFilter } from '#mesh/subjects.ts'

/** Fees of the first markets: 0.1 % for who rests, 0.2 % for who takes. */
const FEES = { makerFeePpm: 1_000, takerFeePpm: 2_000 } as const
/** A market order without a worst price goes 5 % from the best price. */
const SLIPPAGE = { slippagePpm: 50_000 } as const

type WithoutIds<Command> = Command extends DefinitionCommand ? Omit<Command, 'commandId' | 'replyTo'> : never

const FIRST: readonly WithoutIds<DefinitionCommand>[] = [
  { type: 'DefineAsset', asset: 'BTC', scale: 8 },
  { type: 'DefineAsset', asset: 'ETH', scale: 8 },
  { type: 'DefineAsset', asset: 'USDT', scale: 8 },
  market('BTC', 'USDT', { tick: '0.01', lot: '0.00001' }),
  market('ETH', 'USDT', { tick: '0.01', lot: '0.0001' }),
  market('ETH', 'BTC', { tick: '0.00001', lot: '0.001' }),
]

/**
 * Appends the definitions of a new exchange, if its log is empty. They travel as one message that is stored only as the
 * first of its subject: of several processes that start at once, one does it.
 */
export async function appendFirstDefinitions(nats: NatsConnection): Promise<void> {
  if (!(await isEmpty(nats))) return
  // Ids below those that are handed out; nobody waits for the answers.
  const lines = FIRST.map((command, index) => JSON.stringify({ ...command, commandId: index + 1, replyTo: '' }))
  try {
    await createStore(nats).append(commandSubject(Log.definitions, DEFINITIONS_SLOT), lines.join('\n'), 0)
  } catch (error) {
    // Someone was faster. (Without an ack nothing is known, and the process starts anew.)
    if (!(error instanceof StoreRefused)) throw error
  }
}

async function isEmpty(nats: NatsConnection): Promise<boolean> {
  const manager = await jetstreamManager(nats)
  try {
    const filter = slotFilter(Log.definitions, DEFINITIONS_SLOT)
    const last = await manager.streams.getMessage(STREAM_OF_LOG[Log.definitions], { last_by_subj: filter })
    return last === null
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return true
    throw error
  }
}

function market(
  base: string,
  quote: string,
  steps: { readonly tick: string; readonly lot: string },
): WithoutIds<DefinitionCommand> {
  return { type: 'DefineMarket', instrument: `${base}-${quote}`, base, quote, ...steps, ...FEES, ...SLIPPAGE }
}
