import assert from 'node:assert/strict'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import { TestMesh } from '../testing/mesh.ts'
import { createNaiveEngine } from '../testing/naive-engine.ts'

const asset = (name: string, scale: number) => ({ type: 'DefineAsset', asset: name, scale })
const market = (fields: object = {}) => ({
  type: 'DefineMarket',
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.00001',
  makerFeePpm: 1_000,
  takerFeePpm: 2_000,
  slippagePpm: 50_000,
  ...fields,
})
const fees = (fields: object = {}) => ({
  type: 'SetFees',
  instrument: 'BTC-USDT',
  makerFeePpm: 0,
  takerFeePpm: 100_000,
  ...fields,
})
const status = (fields: object = {}) => ({
  type: 'SetMarketStatus',
  instrument: 'BTC-USDT',
  status: 'halted',
  ...fields,
})

/** [what was defined before beside BTC, USDT (scale 8) and COIN (scale 0), what is sent, the answer]. */
const ROWS: readonly (readonly [before: readonly object[], said: object, answer: string])[] = [
  [[], asset('ETH', 8), 'defined'],
  [[], asset('E2', 0), 'defined'],
  [[], asset('E234567890', 18), 'defined'],
  [[], asset('BTC', 8), 'defined'],
  [[], asset('BTC', 7), 'asset_exists'],
  [[], asset('E', 8), 'definition_invalid'],
  [[], asset('E2345678901', 8), 'definition_invalid'],
  [[], asset('eth', 8), 'definition_invalid'],
  [[], asset('ET-H', 8), 'definition_invalid'],
  [[], asset('ETH', 19), 'definition_invalid'],
  [[], asset('ETH', -1), 'definition_invalid'],
  [[], asset('ETH', 1.5), 'definition_invalid'],

  [[], market(), 'defined'],
  [[market()], market(), 'defined'],
  [[market()], market({ tick: '0.1' }), 'market_exists'],
  [[market()], market({ takerFeePpm: 1 }), 'market_exists'],
  [[market(), fees()], market(), 'defined'],
  [[], market({ instrument: 'BTC-EUR' }), 'definition_invalid'],
  [[], market({ instrument: 'BTC-BTC', quote: 'BTC' }), 'definition_invalid'],
  [[], market({ instrument: 'BTC-EUR', quote: 'EUR', tick: '0' }), 'asset_unknown'],
  [[], market({ instrument: 'XYZ-USDT', base: 'XYZ' }), 'asset_unknown'],
  [[], market({ tick: '0' }), 'definition_invalid'],
  [[], market({ tick: '-1' }), 'definition_invalid'],
  [[], market({ tick: '1e2' }), 'definition_invalid'],
  [[], market({ tick: 'abc' }), 'definition_invalid'],
  [[], market({ lot: '0.000000001' }), 'definition_invalid'],
  // 0.001 × 0.00001 is 10^−8: one minor unit of the quote; a tenth of it is none.
  [[], market({ tick: '0.001' }), 'defined'],
  [[], market({ tick: '0.0001' }), 'definition_invalid'],
  [[], market({ tick: '0.0015' }), 'definition_invalid'],
  [[], market({ tick: '100000000000', lot: '1000' }), 'definition_invalid'],
  [[], market({ instrument: 'COIN-USDT', base: 'COIN', lot: '1' }), 'defined'],
  [[], market({ instrument: 'COIN-USDT', base: 'COIN', lot: '0.5' }), 'definition_invalid'],
  [[], market({ amountMin: '0.00005' }), 'defined'],
  [[], market({ amountMin: '0.000055' }), 'definition_invalid'],
  [[], market({ amountMin: '0' }), 'definition_invalid'],
  [[], market({ amountMin: '90071992548' }), 'definition_invalid'],
  [[], market({ makerFeePpm: -1 }), 'definition_invalid'],
  [[], market({ makerFeePpm: 100_001 }), 'definition_invalid'],
  [[], market({ takerFeePpm: 100_001 }), 'definition_invalid'],
  [[], market({ takerFeePpm: 0.5 }), 'definition_invalid'],
  [[], market({ slippagePpm: 1_000_001 }), 'definition_invalid'],

  [[], fees(), 'market_unknown'],
  [[market()], fees(), 'defined'],
  [[market(), fees()], fees(), 'defined'],
  [[market()], fees({ makerFeePpm: 100_001 }), 'definition_invalid'],
  [[market()], fees({ takerFeePpm: -1 }), 'definition_invalid'],

  [[], status(), 'market_unknown'],
  [[market()], status(), 'defined'],
  [[market(), status()], status(), 'defined'],
  [[market()], status({ status: 'closed' }), 'definition_invalid'],
]

describe('definitions', () => {
  for (const [before, said, answer] of ROWS) {
    it(`${JSON.stringify(said)} after ${before.length}: ${answer}`, () => {
      const mesh = newMesh()
      for (const one of before) define(mesh, one)
      define(mesh, said)
      mesh.takeReplies()
      define(mesh, said)
      // The second answer is that to a repeat: it is the same.
      const [reply] = mesh.takeReplies()
      assert.equal(reply?.kind === 'ledgerRefused' ? reply.code : reply?.kind, answer)
    })
  }

  it('are told to nobody before the market stands in its engine slot', () => {
    const mesh = newMesh()
    mesh.definitionEvents.length = 0
    mesh.define({ ...market(), commandId: 50, replyTo: 'edge-1' } as DefinitionCommand)
    mesh.define({ ...market(), commandId: 51, replyTo: 'edge-1' } as DefinitionCommand)
    mesh.define({ ...fees(), commandId: 52, replyTo: 'edge-1' } as DefinitionCommand)
    for (let items = 0; items < 3; items++) mesh.step()
    assert.deepEqual(
      mesh.takeReplies().map((reply) => [reply.commandId, reply.kind]),
      [[52, 'ledgerRefused']],
    )
    assert.equal(mesh.accounts[0]?.markets.length, 0)
    mesh.run()
    assert.deepEqual(
      mesh.takeReplies().map((reply) => [reply.commandId, reply.kind]),
      [
        [50, 'defined'],
        [51, 'defined'],
      ],
    )
    assert.equal(mesh.accounts[1]?.markets.length, 1)
    assert.deepEqual(
      mesh.definitionEvents.map(({ type }) => type),
      ['DefinitionRefused', 'MarketDefined'],
    )
  })

  it('give markets their engine slots in turn, with exact numbers of minor units', () => {
    const mesh = newMesh()
    define(mesh, market())
    define(mesh, market({ instrument: 'COIN-USDT', base: 'COIN', lot: '3', amountMin: '6' }))
    define(mesh, market({ instrument: 'COIN-BTC', base: 'COIN', quote: 'BTC', tick: '0.00020', lot: '1' }))
    const markets = mesh.definitionEvents.flatMap((event) => (event.type === 'MarketDefined' ? [event.market] : []))
    assert.deepEqual(
      markets.map((one) => [
        one.marketSlot,
        one.tick,
        one.baseMinorPerLot,
        one.quoteMinorPerTickLot,
        one.amountLotsMin,
      ]),
      [
        [0, '0.01', '1000', '10', 1],
        [1, '0.01', '3', '3000000', 2],
        [0, '0.0002', '1', '20000', 1],
      ],
    )
  })

  it('freeze the fees into an order when it is placed', () => {
    const mesh = newMesh()
    define(mesh, market())
    define(mesh, fees())
    assert.deepEqual(
      mesh.accounts.map(({ markets }) => [markets.length, markets[0]?.makerFeePpm, markets[0]?.takerFeePpm]),
      [
        [1, 0, 100_000],
        [1, 0, 100_000],
      ],
    )
  })
})

function newMesh() {
  const mesh = new TestMesh({ accountSlots: 2, marketSlots: 2 }, createNaiveEngine())
  for (const one of [asset('BTC', 8), asset('USDT', 8), asset('COIN', 0)]) define(mesh, one)
  mesh.takeReplies()
  return mesh
}

let nextId = 1
function define(mesh: ReturnType<typeof newMesh>, command: object): void {
  mesh.define({ ...command, commandId: nextId++, replyTo: 'edge-1' } as DefinitionCommand)
  mesh.run()
}
