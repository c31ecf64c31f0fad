import assert from 'node:assert/strict'
import fc from 'fast-check'
import { type Market, marketOf } from '#mesh/edge/market.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { commandOf, type Message, readMessage } from './messages.ts'
import type { SourceMessage } from './source.ts'

const definition: MarketDefinition = {
  instrument: 'BTC-USDT',
  base: 'BTC',
  quote: 'USDT',
  tick: '0.01',
  lot: '0.001',
  baseMinorPerLot: '100000',
  quoteMinorPerTickLot: '1000',
  amountLotsMin: 1,
  makerFeePpm: 0,
  takerFeePpm: 0,
  slippagePpm: 0,
  marketSlot: 0,
  status: 'trading',
}
const market: Market = marketOf(definition, { asset: 'BTC', scale: 8 }, { asset: 'USDT', scale: 8 })
const sentAt = '2031-05-04T03:02:01.000001Z'
const SENT_AT_US = Date.UTC(2031, 4, 4, 3, 2, 1) * 1000 + 1

const source = (body: object, more: Partial<SourceMessage> = {}): SourceMessage => ({
  body: Buffer.from(JSON.stringify({ version: 1, sentAt, ...body })),
  authorization: undefined,
  onBehalfOf: undefined,
  messageId: 'message-1',
  ...more,
})
function read(body: object, more: Partial<SourceMessage> = {}): Message {
  const message = readMessage(source(body, more))
  assert(!('code' in message), JSON.stringify(message))
  return message
}
const command = (body: object, more: Partial<SourceMessage> = {}) =>
  commandOf(read(body, more), {
    commandId: 7,
    memberId: 42,
    origin: 'kafka',
    createdAtUs: 5,
    marketOf: (instrument) => (instrument === 'BTC-USDT' ? market : undefined),
  })
const order = { command: 'place', instrument: 'BTC-USDT', side: 'buy', price: '10.01', amount: '0.5' }
const from = { commandId: 7, replyTo: '', memberId: 42, sentAtUs: SENT_AT_US, origin: 'kafka' }

describe('messages from a broker', () => {
  it('become commands in ticks and lots', () => {
    const { contentHash, ...placed } = command({ ...order, clientOrderId: 'own' }) as { contentHash: number }
    assert.deepEqual(placed, {
      type: 'PlaceOrder',
      ...from,
      clientOrderId: 'own',
      instrument: 'BTC-USDT',
      side: 'buy',
      orderType: 'limit',
      priceTicks: 1001,
      amountLots: 500,
      createdAtUs: 5,
    })
    assert(contentHash > 0)
    assert.deepEqual(command({ command: 'cancel', orderId: '12' }), {
      type: 'CancelOrder',
      ...from,
      requestId: 'message-1',
      orderId: 12,
    })
    assert.deepEqual(
      command({ command: 'amend', requestId: 'own', clientOrderId: 'a', instrument: 'BTC-USDT', amount: '1' }),
      { type: 'AmendOrder', ...from, requestId: 'own', clientOrderId: 'a', instrument: 'BTC-USDT', amountLots: 1000 },
    )
  })

  it('name an order by their own id where it has none, and a repeat has the same content', () => {
    const first = command(order) as { clientOrderId: string; contentHash: number }
    assert.equal(first.clientOrderId, 'message-1')
    const again = command({ ...order, price: '10.010', sentAt: '2031-05-04T04:00:00Z' }) as typeof first
    assert.equal(again.contentHash, first.contentHash)
    const other = command({ ...order, price: '10.02' }) as typeof first
    assert.notEqual(other.contentHash, first.contentHash)
  })

  it('bound a market sell by quote total with its worst price', () => {
    const sell = { command: 'place', instrument: 'BTC-USDT', side: 'sell', type: 'market', quoteAmount: '100' }
    const placed = command({ ...sell, worstPrice: '3' }) as { amountLots: number; quoteTickLots: number }
    assert.deepEqual([placed.quoteTickLots, placed.amountLots], [10_000_000, 33_333])
    assert.deepEqual(command(sell), { code: 'missing_field', field: 'worstPrice' })
  })

  it('are refused by what their market takes', () => {
    assert.deepEqual(command({ ...order, price: '10.001' }), { code: 'too_many_decimals', field: 'price' })
    assert.deepEqual(command({ ...order, instrument: 'ETH-USDT' }), { code: 'market_unknown', field: 'instrument' })
    const amendment = { command: 'amend', orderId: '1', instrument: 'BTC-USDT' }
    assert.deepEqual(command(amendment), { code: 'missing_field', field: 'amount' })
    assert.deepEqual(command({ ...amendment, instrument: 'X-Y', amount: '1' }), {
      code: 'market_unknown',
      field: 'instrument',
    })
  })

  const unreadable: [string, SourceMessage, object][] = [
    ['no version', source({ version: undefined }), { code: 'missing_field', field: 'version' }],
    ['another version', source({ version: '1' }), { code: 'version_unknown', field: 'version' }],
    ['no command', source({}), { code: 'missing_field', field: 'command' }],
    ['an unknown command', source({ command: 'transfer' }), { code: 'command_unknown', field: 'command' }],
    [
      'a command that is not its queue’s',
      source({ command: 'place' }, { command: 'cancel' }),
      { code: 'command_unknown', field: 'command' },
    ],
    ['no side', source({ ...order, side: undefined }), { code: 'missing_field', field: 'side' }],
    ['no time', source({ ...order, sentAt: undefined }), { code: 'missing_field', field: 'sentAt' }],
    [
      'a time without zone',
      source({ ...order, sentAt: '2031-05-04T03:02:01' }),
      { code: 'invalid_value', field: 'sentAt' },
    ],
    ['a number for a decimal', source({ ...order, amount: 1 }), { code: 'wrong_type', field: 'amount' }],
    ['a prototype', source({ ...order, ['__proto__']: {} }), { code: 'unknown_field', field: '__proto__' }],
    ['an order without its id', source({ command: 'cancel' }), { code: 'missing_field', field: 'orderId' }],
    [
      'an order under both its ids',
      source({ command: 'cancel', orderId: '1', clientOrderId: 'a' }),
      { code: 'invalid_value', field: 'clientOrderId' },
    ],
    [
      'an id beyond 2^53',
      source({ command: 'cancel', orderId: '9999999999999999' }),
      { code: 'invalid_value', field: 'orderId' },
    ],
    ['no identity', source(order, { messageId: undefined }), { code: 'identity_missing', field: 'clientOrderId' }],
    ['an empty identity', source(order, { messageId: '' }), { code: 'identity_missing', field: 'clientOrderId' }],
    [
      'an identity of 65',
      source(order, { messageId: 'x'.repeat(65) }),
      { code: 'identity_invalid', field: 'messageId' },
    ],
  ]
  for (const [what, message, fault] of unreadable) {
    it(`with ${what} are ${JSON.stringify(fault)}`, () => assert.deepEqual(readMessage(message), fault))
  }

  it('of any bytes, and of any JSON, are read or refused, never thrown', () => {
    const refused = (body: Uint8Array) => {
      const message = readMessage({ ...source({}), body })
      return 'code' in message
    }
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), refused))
    fc.assert(fc.property(fc.json(), (text) => refused(Buffer.from(text))))
    const value = fc.oneof(fc.string(), fc.constantFrom('1', 'a', sentAt, 'BTC-USDT', 'buy', '-1'), fc.jsonValue())
    const fields = fc.dictionary(
      fc.constantFrom(...Object.keys(order), 'orderId', 'requestId', 'clientOrderId', 'sentAt'),
      value,
    )
    const name = fc.constantFrom('place', 'cancel', 'amend')
    fc.assert(
      fc.property(fields, name, (body, own) => {
        const message = readMessage(source({ ...body, command: own }))
        if (!('code' in message)) {
          const made = commandOf(message, {
            commandId: 1,
            memberId: 1,
            origin: 'rabbitmq',
            createdAtUs: 1,
            marketOf: () => market,
          })
          assert('type' in made || typeof made.code === 'string')
        }
      }),
    )
  })
})
