import { type JetStreamManager, jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import type { Definitions } from '#mesh/edge/definitions.ts'
import type { Pool } from '#mesh/mysql.ts'
import { askPresence } from '#mesh/presence.ts'
import { type Alarm, RECENT_ALARMS_KEY } from '#mesh/protocol/alerts.ts'
import { callRpc } from '#mesh/rpc.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { Rpc } from '#mesh/subjects.ts'
import { VERSION } from '#mesh/version.ts'
import type { Books } from './books.ts'
import type { Link } from './config.ts'
import { hear, instancesOf, type Roster } from './domain/instances.ts'
import { problemsOf } from './domain/problems.ts'
import { projectionsOf } from './domain/projections.ts'
import type { ShownAlarm, State, Trading } from './domain/state.ts'
import { noMemory, type Totals, tradingOf } from './domain/trading.ts'
import { kept } from './looks/kept.ts'
import { createServerLooks } from './looks/servers.ts'
import { type SlotsWatch, watchSlots } from './looks/slots.ts'
import { createStreamsLook } from './looks/streams.ts'

/**
 * Looks at the exchange while somebody looks at the page: once a second, for all of them together. Nobody looks: nothing is asked.
 */
export interface Collector {
  /** As it was at the last look; the first one is waited for. */
  state(): Promise<State>
  stop(): Promise<void>
}

export interface CollectorParts {
  readonly nats: NatsConnection
  readonly shape: MeshShape
  readonly definitions: Definitions
  readonly books: Books
  readonly natsMonitorUrls: readonly string[]
  readonly pool: Pool | undefined
  readonly redis: Redis | undefined
  readonly rabbitmqUrl: string | undefined
  readonly links: readonly Link[]
  readonly log: Logger
}

const LOOK_MS = 1_000
/** Within it whoever is there has answered; the rest is looked at meanwhile. */
const PRESENCE_MS = 600
/** Nobody has asked for so long: nobody looks. */
const IDLE_MS = 15_000
const STREAMS_MS = 2_000
const TRADING_MS = 2_000
const ALARMS_MS = 2_000
const BOOKS_MS = 10_000
const LINKS_MS = 10_000
const ANSWER_MS_MAX = 2_000
const ALARMS_SHOWN = 30

export function createCollector(parts: CollectorParts): Collector {
  const { nats, shape, books, redis, links, log } = parts
  let opened: Promise<JetStreamManager> | undefined
  const manager = (): Promise<JetStreamManager> => {
    opened ??= jetstreamManager(nats, { checkAPI: false, timeout: ANSWER_MS_MAX })
    return opened
  }
  let memory = noMemory
  const noTrading: Trading = { ordersPerSecond: null, tradesPerSecond: null, markets: [], history: [] }
  const lookAtTrading = async (): Promise<Trading> => {
    const totals = await callRpc<Totals>(nats, Rpc.ordersQuery, { query: 'totals' }, ANSWER_MS_MAX)
    const { trading, memory: next } = tradingOf(totals, memory, Date.now())
    memory = next
    return trading
  }
  const nothing = { streams: [], consumers: [] }
  const streams = kept('streams', STREAMS_MS, nothing, createStreamsLook(manager), log)
  const trading = kept('trading', TRADING_MS, noTrading, lookAtTrading, log)
  const alarms = kept('alarms', ALARMS_MS, [], () => readAlarms(redis), log)
  const booksNow = kept('books', BOOKS_MS, [], books.look, log)
  const linksThere = kept('links', LINKS_MS, [], () => answering(links), log)
  const servers = createServerLooks(parts)

  let roster: Roster = new Map()
  let watch: SlotsWatch | undefined
  let latest: State | undefined
  let looking: Promise<void> | undefined
  let askedAtMs = 0
  let isStopped = false

  const look = async (slots: SlotsWatch): Promise<State> => {
    const [heard, slotsOf, { streams: found, consumers }, serversFound, tradingFound, alarmsFound, booksFound, there] =
      await Promise.all([
        askPresence(nats, PRESENCE_MS),
        slots.look(),
        streams.value(),
        Promise.all(servers.map((server) => server.value())),
        trading.value(),
        alarms.value(),
        booksNow.value(),
        linksThere.value(),
      ])
    const nowMs = performance.now()
    roster = hear(roster, heard, nowMs)
    const projections = projectionsOf(heard)
    const owned = [...slots.owned(), ...projections]
    const state = {
      atMs: Date.now(),
      version: VERSION,
      instances: instancesOf(roster, owned, nowMs),
      slots: slotsOf(heard),
      projections,
      streams: found,
      consumers,
      servers: serversFound,
      trading: tradingFound,
      books: booksFound,
      alarms: alarmsFound,
      links: there,
    }
    return { ...state, problems: problemsOf(state, state.atMs) }
  }
  const run = async (): Promise<void> => {
    const slots = watchSlots(nats, shape, log)
    watch = slots
    try {
      while (!isStopped && performance.now() - askedAtMs < IDLE_MS) {
        const beganAtMs = performance.now()
        latest = await look(slots)
        firstLook.resolve()
        await new Promise((resolve) => setTimeout(resolve, beganAtMs + LOOK_MS - performance.now()))
      }
    } finally {
      slots.stop()
      watch = undefined
      latest = undefined
      looking = undefined
    }
  }
  let firstLook = Promise.withResolvers<void>()

  return {
    state: async () => {
      askedAtMs = performance.now()
      if (looking === undefined) {
        firstLook = Promise.withResolvers<void>()
        looking = run().catch((err) => log.error({ err }, 'the exchange cannot be looked at'))
        void looking.then(() => firstLook.resolve())
      }
      await firstLook.promise
      if (latest === undefined) throw new Error('There was no look.')
      return latest
    },
    stop: async () => {
      isStopped = true
      watch?.stop()
      await looking
    },
  }
}

async function readAlarms(redis: Redis | undefined): Promise<ShownAlarm[]> {
  const texts = (await redis?.lrange(RECENT_ALARMS_KEY, 0, ALARMS_SHOWN - 1)) ?? []
  return texts.map((text) => {
    const { at, level, kind, instance, message, details, held } = JSON.parse(text) as Alarm
    return { at: Date.parse(at), level, kind, instance, message, details, held }
  })
}

/** Those that are there: whatever they answer. */
async function answering(links: readonly Link[]): Promise<{ name: string; url: string }[]> {
  const found = await Promise.all(
    links.map(async ({ name, url, probeUrl }) => {
      try {
        const response = await fetch(probeUrl, { signal: AbortSignal.timeout(ANSWER_MS_MAX), redirect: 'manual' })
        await response.body?.cancel()
        return response.status < 500 ? [{ name, url }] : []
      } catch {
        return []
      }
    }),
  )
  return found.flat()
}
