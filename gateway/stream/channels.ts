import { type Interval, isInterval } from '#mesh/protocol/stats.ts'
import { Problem } from '../problem.ts'

/** Levels of each side that a client may ask for. `full` has a bound as well, as everything has. */
export const DEPTHS = { '10': 10, '50': 50, '500': 500, full: 5_000 } as const
export const DEPTH_DEFAULT = '50'

export type PublicKind = 'orderbook' | 'trades' | 'ticker' | 'bbo' | 'candles'
export type PrivateKind = 'orders' | 'fills' | 'balances'

export type PublicChannel =
  | {
      readonly kind: 'orderbook' | 'trades' | 'ticker' | 'bbo'
      readonly name: string
      readonly instrument: string
      readonly depth: keyof typeof DEPTHS
    }
  | { readonly kind: 'candles'; readonly name: string; readonly instrument: string; readonly interval: Interval }

export type Channel = PublicChannel | { readonly kind: PrivateKind; readonly name: string }

const PUBLIC = /^(orderbook|trades|ticker|bbo):([A-Z0-9]{2,10}-[A-Z0-9]{2,10})(?::(10|50|500|full))?$/
const CANDLES = /^candles:([A-Z0-9]{2,10}-[A-Z0-9]{2,10}):([0-9]{1,2}[smhdwM])$/
const PRIVATE = /^(?:orders|fills|balances)$/

/** @throws Problem `channel_unknown` */
export function parseChannel(text: string): Channel {
  if (PRIVATE.test(text)) return { kind: text as PrivateKind, name: text }
  if (text.startsWith('candles:')) return parseCandles(text)
  const match = PUBLIC.exec(text)
  const [, kind, instrument = '', depth] = match ?? []
  if (match === null || (kind !== 'orderbook' && depth !== undefined)) throw unknown(text)
  const isBook = kind === 'orderbook'
  const wanted = (depth ?? DEPTH_DEFAULT) as keyof typeof DEPTHS
  const name = isBook ? `orderbook:${instrument}:${wanted}` : `${kind}:${instrument}`
  return { kind: kind as Exclude<PublicKind, 'candles'>, name, instrument, depth: wanted }
}

function parseCandles(text: string): Channel {
  const [, instrument, interval] = CANDLES.exec(text) ?? []
  if (instrument === undefined || interval === undefined || !isInterval(interval)) throw unknown(text)
  return { kind: 'candles', name: text, instrument, interval }
}

const unknown = (text: string): Problem =>
  new Problem('channel_unknown', { field: 'channels', message: `There is no channel "${text.slice(0, 64)}".` })
