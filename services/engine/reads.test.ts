import assert from 'node:assert/strict'
import type { MarketReadResult } from '#mesh/protocol/engine.ts'
import { RpcError } from '#mesh/rpc.ts'
import { engineRules } from './domain/rules.ts'
import { createReads } from './reads.ts'
import { MARKET, parseCommand, recordingContext } from './testing/script.ts'

/** A slot that has taken these commands, and the reads of its owner. */
function having(...commands: string[]): (request: unknown) => MarketReadResult {
  const state = engineRules.initialState(0)
  const reads = createReads()
  for (const [index, text] of ['open', ...commands].entries()) {
    const { item, source } = parseCommand(text, index + 1)
    const { context, said } = recordingContext(source, 1_000 + index)
    engineRules.apply(state, item, context)
    for (const event of said.events) reads.observe(0, event, [1, index, 0], 1_000 + index)
  }
  return (request) => reads.answer(0, state, request, 5_000)
}

const { instrument } = MARKET

describe('reads of the engine', () => {
  const read = having(
    'sell #1 5@103',
    'sell #2 4@102',
    'sell #3 1@102',
    'buy #4 7@99',
    'buy #5 1@98',
    'buy #6 2@102',
    'sell #7 3@99',
    'status cancel_only',
  )

  it('give the order book, best first, with its status, sequence and time', () => {
    assert.deepEqual(read({ read: 'orderbook', instrument, levelsMax: 10 }), {
      read: 'orderbook',
      instrument,
      status: 'cancel_only',
      sequence: 7,
      timeUs: 5_000,
      bids: [
        [99, 4],
        [98, 1],
      ],
      asks: [
        [102, 3],
        [103, 5],
      ],
    })
  })

  it('give no more levels than wanted', () => {
    const result = read({ read: 'orderbook', instrument, levelsMax: 1 })
    assert(result.read === 'orderbook')
    assert.deepEqual([result.bids, result.asks], [[[99, 4]], [[102, 3]]])
  })

  it('give the last trades, newest first', () => {
    const [last, first] = [
      { tradeId: 2, priceTicks: 99, lots: 3, takerSide: 'sell', timeUs: 1_007 },
      { tradeId: 1, priceTicks: 102, lots: 2, takerSide: 'buy', timeUs: 1_006 },
    ]
    assert.deepEqual(read({ read: 'trades', instrument, tradesMax: 5 }), {
      read: 'trades',
      instrument,
      trades: [last, first],
    })
    assert.deepEqual(read({ read: 'trades', instrument, tradesMax: 1 }), { read: 'trades', instrument, trades: [last] })
  })

  it('give the best prices of all markets', () => {
    const markets = [{ instrument, bestBidTicks: 99, bestAskTicks: 102 }]
    assert.deepEqual(read({ read: 'bests' }), { read: 'bests', markets })
    const none = [{ instrument, bestBidTicks: 0, bestAskTicks: 0 }]
    assert.deepEqual(having()({ read: 'bests' }), { read: 'bests', markets: none })
  })

  it('give the totals: what rests, and what is held for it', () => {
    const market = {
      instrument,
      ordersCount: 5,
      bidsHeldMinor: String(2 * (4 * 99 + 98)),
      asksHeldMinor: String(10 * 8),
      tradesCount: 2,
    }
    assert.deepEqual(read({ read: 'totals' }), { read: 'totals', markets: [market] })
  })

  for (const [request, code] of [
    [{ read: 'orderbook', instrument: 'XXX-YYY', levelsMax: 1 }, 'market_unknown'],
    [{ read: 'trades', instrument: 'XXX-YYY', tradesMax: 1 }, 'market_unknown'],
    [{ read: 'orderbook', instrument, levelsMax: 0 }, 'request_invalid'],
    [{ read: 'orderbook', instrument, levelsMax: 1.5 }, 'request_invalid'],
    [{ read: 'orderbook', instrument }, 'request_invalid'],
    [{ read: 'trades', instrument, tradesMax: '5' }, 'request_invalid'],
    [{ read: 'everything' }, 'request_invalid'],
    [{}, 'request_invalid'],
    [null, 'request_invalid'],
  ] as const) {
    it(`refuse ${JSON.stringify(request)}: ${code}`, () => {
      assert.throws(
        () => read(request),
        (error) => error instanceof RpcError && error.code === code,
      )
    })
  }
})
