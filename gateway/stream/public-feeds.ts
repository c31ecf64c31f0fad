import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection, Subscription } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Market } from '#mesh/edge/market.ts'
import { callRpc } from '#mesh/rpc.ts'
import { PushChannel, pusherReadSubject, pusherTakenSubject, pushSubject } from '#mesh/subjects.ts'
import { marketNamed } from '../endpoints/parameters.ts'
import { CandlesFeed } from './candles-feed.ts'
import type { PublicChannel, PublicKind } from './channels.ts'
import { BookFeed, type Feed, TickerFeed, TradesFeed } from './public-feed.ts'
import { Pace, type Sink } from './topic.ts'

/** What markets tell, asked of its pusher only while one of this gateway's connections follows it. */
export interface PublicFeeds {
  /** @throws Problem `market_unknown` */
  check(channel: PublicChannel): void
  /** @throws Problem `market_unknown` */
  follow(channel: PublicChannel, sink: Sink): void
  leave(channel: PublicChannel, sink: Sink): void
  stop(): void
}

interface Followed {
  readonly feed: Feed
  readonly subscription: Subscription
  readonly pusher: Pusher
  readonly slot: number
  readonly instrument: string
  isClosed: boolean
}

const ASK_MS_MAX = 2_000
const RETRY_MS = 200
/** How long a market is followed on that nobody wants any more: often somebody does again. */
const LINGER_MS = 5_000
/** How often it is compared whether something got lost on the way without a trace, in milliseconds. */
const COMPARE_MS = 5_000

const PUSHERS = ['push-market', 'stats'] as const
type Pusher = (typeof PUSHERS)[number]

/** Who tells what, and on which channel. */
const PUSHED: Record<PublicKind, readonly [Pusher, PushChannel]> = {
  orderbook: ['push-market', PushChannel.book],
  bbo: ['push-market', PushChannel.book],
  trades: ['push-market', PushChannel.trades],
  ticker: ['stats', PushChannel.ticker],
  candles: ['stats', PushChannel.candles],
}

class Closed extends Error {
  override readonly name = 'Closed'
}

export function createPublicFeeds(nats: NatsConnection, definitions: Definitions, log: Logger): PublicFeeds {
  const all = new Map<string, Followed>()
  /** By instrument. Whoever follows a market's book mostly follows its trades as well. */
  const paces = new Map<string, Pace>()
  const paceOf = (instrument: string): Pace => {
    const pace = paces.get(instrument) ?? new Pace()
    paces.set(instrument, pace)
    return pace
  }
  const keyOf = ({ kind, instrument }: PublicChannel): string => pushSubject(PUSHED[kind][1], instrument)

  const load = (followed: Followed): void => {
    followed.feed.load().catch((err: unknown) => {
      if (!(err instanceof Closed)) log.error({ err, instrument: followed.instrument }, 'a feed cannot be loaded')
    })
  }
  const open = (channel: PublicChannel, market: Market): Followed => {
    const { marketSlot, instrument } = market.definition
    const [pusher] = PUSHED[channel.kind]
    const ask = async <Result>(read: object): Promise<Result> => {
      for (;;) {
        if (followed.isClosed || nats.isClosed()) throw new Closed()
        try {
          return await callRpc<Result>(nats, pusherReadSubject(pusher, marketSlot), read, ASK_MS_MAX)
        } catch {
          // Nobody owns the slot at present, or not yet this market: who does tells soon.
          await sleep(RETRY_MS)
        }
      }
    }
    const feed = feedOf(channel.kind, market, ask, paceOf(instrument))
    const subscription = nats.subscribe(keyOf(channel), {
      callback: (error, message) => {
        if (error === null) feed.take(message.json())
      },
    })
    const followed: Followed = { feed, subscription, pusher, slot: marketSlot, instrument, isClosed: false }
    load(followed)
    return followed
  }

  const closeUnused = (key: string, followed: Followed): void => {
    if (followed.isClosed || !followed.feed.isUnused) return
    followed.isClosed = true
    followed.subscription.unsubscribe()
    all.delete(key)
  }

  const compare = async (pusher: Pusher, slot: number): Promise<void> => {
    const ofSlot = [...all.values()].filter((followed) => followed.pusher === pusher && followed.slot === slot)
    const instruments = [...new Set(ofSlot.map(({ instrument }) => instrument))]
    if (instruments.length === 0) return
    const subject = pusherReadSubject(pusher, slot)
    const { sequences } = await callRpc<Sequences>(nats, subject, { read: 'sequences', instruments }, ASK_MS_MAX)
    const bySlot = new Map(instruments.map((instrument, index) => [instrument, sequences[index] ?? [0, 0]]))
    for (const followed of ofSlot) {
      const [sequence = 0, tradeId = 0] = bySlot.get(followed.instrument) ?? []
      if (followed.feed.isBehind(sequence, tradeId)) load(followed)
    }
  }
  const compareAll = (): void => {
    // Who cannot be asked now is asked the next time.
    for (const pusher of PUSHERS) {
      const slots = new Set([...all.values()].filter((one) => one.pusher === pusher).map(({ slot }) => slot))
      for (const slot of slots) compare(pusher, slot).catch(() => {})
    }
  }
  const taken = PUSHERS.map((pusher) =>
    nats.subscribe(pusherTakenSubject(pusher, '*'), {
      callback: (error, message) => {
        if (error !== null) return
        const slot = Number(message.subject.slice(message.subject.lastIndexOf('.') + 1))
        for (const one of all.values()) if (one.pusher === pusher && one.slot === slot) load(one)
      },
    }),
  )
  void (async () => {
    for await (const { type } of nats.status())
      if (type === 'reconnect') for (const followed of all.values()) load(followed)
  })()
  const comparing = setInterval(compareAll, COMPARE_MS)

  return {
    check: ({ instrument }) => void marketNamed(definitions, instrument),
    follow: (channel, sink) => {
      const market = marketNamed(definitions, channel.instrument)
      const key = keyOf(channel)
      let followed = all.get(key)
      if (followed === undefined) {
        followed = open(channel, market)
        all.set(key, followed)
      }
      followed.feed.topic(channel).add(sink)
    },
    leave: (channel, sink) => {
      const key = keyOf(channel)
      const followed = all.get(key)
      if (followed === undefined) return
      followed.feed.topic(channel).delete(sink)
      if (followed.feed.release(channel.name)) setTimeout(() => closeUnused(key, followed), LINGER_MS).unref()
    },
    stop: () => {
      clearInterval(comparing)
      for (const subscription of taken) subscription.unsubscribe()
      for (const followed of all.values()) {
        followed.isClosed = true
        followed.subscription.unsubscribe()
      }
      all.clear()
    },
  }
}

type Sequences = { readonly sequences: readonly (readonly [sequence: number, tradeId: number])[] }

function feedOf(kind: PublicKind, market: Market, ask: <Result>(read: object) => Promise<Result>, pace: Pace): Feed {
  switch (kind) {
    case 'orderbook':
    case 'bbo':
      return new BookFeed(market, ask, pace)
    case 'trades':
      return new TradesFeed(market, ask, pace)
    case 'ticker':
      return new TickerFeed(market, ask, pace)
    case 'candles':
      return new CandlesFeed(market, ask, pace)
  }
}
