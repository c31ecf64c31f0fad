import assert from 'node:assert/strict'
import { Problem } from '../problem.ts'
import { parseChannel } from './channels.ts'

describe('names of channels', () => {
  it('say what is told, of what, and how deep', () => {
    const rows: [name: string, kind: string, canonical: string][] = [
      ['orderbook:BTC-USDT', 'orderbook', 'orderbook:BTC-USDT:50'],
      ['orderbook:BTC-USDT:10', 'orderbook', 'orderbook:BTC-USDT:10'],
      ['orderbook:BTC-USDT:full', 'orderbook', 'orderbook:BTC-USDT:full'],
      ['trades:BTC-USDT', 'trades', 'trades:BTC-USDT'],
      ['ticker:BTC-USDT', 'ticker', 'ticker:BTC-USDT'],
      ['bbo:BTC-USDT', 'bbo', 'bbo:BTC-USDT'],
      ['candles:BTC-USDT:1m', 'candles', 'candles:BTC-USDT:1m'],
      ['candles:BTC-USDT:1M', 'candles', 'candles:BTC-USDT:1M'],
      ['orders', 'orders', 'orders'],
      ['fills', 'fills', 'fills'],
      ['balances', 'balances', 'balances'],
    ]
    for (const [text, kind, name] of rows) {
      const channel = parseChannel(text)
      assert.deepEqual([channel.kind, channel.name], [kind, name])
    }
  })
  it('are refused when there is none such', () => {
    const wrong = [
      '',
      'order',
      'orders:',
      'orders:BTC-USDT',
      'trades',
      'trades:btc-usdt',
      'trades:BTC-USDT:10',
      'orderbook:BTC-USDT:20',
      'candles:BTC-USDT',
      'candles:BTC-USDT:2m',
      'candles:BTC-USDT:1m:50',
    ]
    for (const text of [...wrong, 'orderbook:BTC-USDT:10:10', 'trades:BTC.USDT', 'trades:*', 'trades:>']) {
      assert.throws(
        () => parseChannel(text),
        (error) => error instanceof Problem && error.code === 'channel_unknown',
        text,
      )
    }
  })
})
