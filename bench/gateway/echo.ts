/**
 * Stands where the machines are: it defines a market, says that the slots have owners, and answers every order at once with
 * what the engine would say of one that rests. So a gateway can be measured alone, on a real bus.
 * Arguments: NATS's URL. Tells its parent when it is there; its parent sends it the public key that signs tokens.
 */
import { once } from 'node:events'
import { openBucket } from '#mesh/buckets.ts'
import { ACCOUNT_SLOTS_DEFAULT, MARKET_SLOTS_DEFAULT } from '#mesh/config.ts'
import { encodeFrame } from '#mesh/frames.ts'
import type { PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { PublicKey } from '#mesh/protocol/auth.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { connectNats } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import {
  Bucket,
  commandSubject,
  DEFINITIONS_SLOT,
  framesSubject,
  Log,
  ownerSubject,
  replySubject,
} from '#mesh/subjects.ts'

const [url = ''] = process.argv.slice(2)
const shape = { accountSlots: ACCOUNT_SLOTS_DEFAULT, marketSlots: MARKET_SLOTS_DEFAULT }
const nats = await connectNats(url, 'echo')
await ensureStreams(nats, shape)

const [key] = (await once(process, 'message')) as [PublicKey]
const keys = await openBucket(nats, Bucket.keys)
await keys.put(key.kid, JSON.stringify(key))
await openBucket(nats, Bucket.denied)

const definitions: DefinitionEvent[] = [
  { type: 'AssetDefined', asset: { asset: 'BTC', scale: 8 } },
  { type: 'AssetDefined', asset: { asset: 'ETH', scale: 8 } },
  { type: 'AssetDefined', asset: { asset: 'USDT', scale: 8 } },
  ...(['BTC-USDT', 'ETH-USDT', 'ETH-BTC'] as const).map((instrument, marketSlot): DefinitionEvent => {
    const [base = '', quote = ''] = instrument.split('-')
    const decimals = {
      'BTC-USDT': ['0.01', '0.00001'],
      'ETH-USDT': ['0.01', '0.0001'],
      'ETH-BTC': ['0.00001', '0.001'],
    }
    const [tick = '', lot = ''] = decimals[instrument]
    return {
      type: 'MarketDefined',
      market: {
        instrument,
        base,
        quote,
        tick,
        lot,
        baseMinorPerLot: String(Math.round(Number(lot) * 1e8)),
        quoteMinorPerTickLot: String(Math.round(Number(tick) * Number(lot) * 1e8)),
        amountLotsMin: 1,
        makerFeePpm: 1000,
        takerFeePpm: 2000,
        slippagePpm: 50_000,
        marketSlot,
        status: 'trading',
      },
    }
  }),
]
const header = { inFrom: [1, 0], inTo: [1, 0], complete: true, hash: 0, timeUs: 0, version: 1 } as const
const lines = definitions.map((event, index) => JSON.stringify({ position: [1, 0, index], ...event }))
nats.publish(framesSubject(Log.definitions, DEFINITIONS_SLOT), encodeFrame(header, lines))

setInterval(() => {
  for (let slot = 0; slot < shape.accountSlots; slot++) nats.publish(ownerSubject(Log.accounts, slot), '{}')
  for (let slot = 0; slot < shape.marketSlots; slot++) nats.publish(ownerSubject(Log.markets, slot), '{}')
}, 300)

let sequence = 0
for (let slot = 0; slot < shape.accountSlots; slot++) {
  nats.subscribe(commandSubject(Log.accounts, slot), {
    callback: (_, message) => {
      sequence++
      const commands = message
        .string()
        .split('\n')
        .map((line) => decodeItem(line) as PlaceOrder)
      const replies = commands.map((command, index) => replyTo(command, `${sequence}-${index}-0`))
      const [first] = commands
      if (first !== undefined) nats.publish(replySubject(first.replyTo), JSON.stringify(replies))
    },
  })
}

function replyTo(command: PlaceOrder, position: string): Reply & { readonly position: string } {
  const { commandId, memberId, clientOrderId, instrument, side, orderType, priceTicks, amountLots, createdAtUs } =
    command
  return {
    position,
    kind: 'order',
    cause: 'placed',
    commandId,
    order: {
      orderId: commandId,
      memberId,
      ...(clientOrderId === undefined ? {} : { clientOrderId }),
      instrument,
      side,
      orderType,
      priceTicks,
      amountLots,
      executedLots: 0,
      executedQuoteMinor: '0',
      feeMinor: '0',
      status: 'new',
      createdAtUs,
      receivedAtUs: createdAtUs + 700,
      updatedAtUs: createdAtUs + 700,
    },
    fills: [],
  }
}

await nats.flush()
process.send?.('there')
process.on('disconnect', () => process.exit())
