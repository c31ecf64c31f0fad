import type { MeshShape } from './streams.ts'
import {
  ALL_OWNERS,
  aliveSubject,
  Bucket,
  commandSubject,
  DEFINITIONS_SLOT,
  EVENTS_STREAM,
  framesSubject,
  GATEWAY_ALIVE,
  GUID_BOUND_SUBJECT,
  hurrySubject,
  Log,
  ownerSubject,
  PushChannel,
  pairSubject,
  pusherReadSubject,
  pusherTakenSubject,
  pushSubject,
  Rpc,
  replySubject,
  SNAPSHOTS_STORE,
  STREAM_OF_LOG,
  slotReadSubject,
  slotSnapshotSubject,
  sourceName,
  WHO_IS_THERE,
} from './subjects.ts'

/** What a user of the bus may publish and subscribe to; nothing else. It may answer what it was asked in any case. */
export interface Permissions {
  readonly publish: readonly string[]
  readonly subscribe: readonly string[]
}

/** Users that a mesh with bus users has: one for each service, and one for those who look after it. */
export const OPERATOR = 'operator'

type Shape = Pick<MeshShape, 'accountSlots' | 'marketSlots'>

/** Subjects go by slot; the wildcard takes the place of its number. */
const ANY = '*' as unknown as number

/** Where the answers to a user's own questions go: nobody else may listen there. */
export const inboxPrefix = (user: string): string => `_INBOX.${user}`

export function permissionsOf(user: string, shape: Shape): Permissions | undefined {
  if (user === OPERATOR) return { publish: ['>'], subscribe: ['>'] }
  const own = USERS[user]?.(shape)
  if (own === undefined) return undefined
  return {
    publish: [...new Set([...EVERYBODY, ...own.publish])],
    subscribe: [...new Set([`${inboxPrefix(user)}.>`, WHO_IS_THERE, ...own.subscribe])],
  }
}

export const busUsers = (): string[] => [...Object.keys(USERS), OPERATOR]

const LOG_STREAMS = Object.values(STREAM_OF_LOG)

const reading = (...streams: readonly string[]): string[] =>
  streams.flatMap((stream) => [
    `$JS.API.STREAM.INFO.${stream}`,
    `$JS.API.STREAM.MSG.GET.${stream}`,
    `$JS.API.CONSUMER.CREATE.${stream}.>`,
    `$JS.API.CONSUMER.INFO.${stream}.>`,
    `$JS.API.CONSUMER.DELETE.${stream}.>`,
    `$JS.API.CONSUMER.MSG.NEXT.${stream}.>`,
  ])

const readingBucket = (...buckets: readonly string[]): string[] =>
  buckets.flatMap((bucket) => [`$JS.API.STREAM.CREATE.KV_${bucket}`, ...reading(`KV_${bucket}`)])

/** The streams are made by whoever comes first, all in the same shape; another one is refused by the server. */
const EVERYBODY: readonly string[] = [
  '$JS.API.INFO',
  '$JS.FC.>',
  ...[...LOG_STREAMS, EVENTS_STREAM].flatMap((stream) => [
    `$JS.API.STREAM.CREATE.${stream}`,
    `$JS.API.STREAM.INFO.${stream}`,
  ]),
  ...readingBucket(Bucket.tracing),
]

const writingBucket = (...buckets: readonly string[]): string[] =>
  buckets.flatMap((bucket) => [
    ...readingBucket(bucket),
    `$KV.${bucket}.>`,
    `$JS.API.STREAM.UPDATE.KV_${bucket}`,
    `$JS.API.STREAM.PURGE.KV_${bucket}`,
  ])

/** What the owners of slots need, whichever log it is. */
function owning(logs: readonly Log[], targets: readonly string[]): Permissions {
  const snapshots = `OBJ_${SNAPSHOTS_STORE}`
  return {
    publish: [
      ...logs.flatMap((log) => [framesSubject(log, ANY), ownerSubject(log, ANY), aliveSubject(log)]),
      ...targets,
      replySubject('*'),
      ...reading(...LOG_STREAMS, EVENTS_STREAM, snapshots),
      ...[...LOG_STREAMS, EVENTS_STREAM, snapshots].map((stream) => `$JS.API.STREAM.UPDATE.${stream}`),
      ...writingBucket(Bucket.leases, Bucket.slots),
      ...readingBucket(Bucket.trims),
      `$JS.API.STREAM.CREATE.${snapshots}`,
      `$JS.API.STREAM.PURGE.${snapshots}`,
      `$O.${SNAPSHOTS_STORE}.>`,
    ],
    subscribe: logs.flatMap((log) => [aliveSubject(log), slotReadSubject(log, ANY), slotSnapshotSubject(log, ANY)]),
  }
}

/** From each slot of a log to every slot of another. */
const sending = (from: Log, slots: number, to: Log): string[] =>
  Array.from({ length: slots }, (_, slot) => pairSubject(to, ANY, sourceName(from, slot)))

const TOKENS = readingBucket(Bucket.keys, Bucket.denied)

function ingest(origin: string): Permissions {
  return {
    publish: [
      commandSubject(Log.accounts, ANY),
      slotReadSubject(Log.accounts, ANY),
      Rpc.guidBlock,
      Rpc.ordersQuery,
      aliveSubject('>'),
      hurrySubject('*'),
      ...reading(EVENTS_STREAM, STREAM_OF_LOG[Log.accounts]),
      ...TOKENS,
      ...readingBucket(Bucket.slots),
      ...writingBucket(Bucket.leases, Bucket.feeds),
    ],
    subscribe: [replySubject('*'), aliveSubject('>'), hurrySubject('*'), ALL_OWNERS, `ingest.${origin}.>`],
  }
}

function pusher(name: string, channels: readonly PushChannel[]): Permissions {
  return {
    publish: [
      ...channels.map((channel) => pushSubject(channel, '>')),
      pusherTakenSubject(name, '*'),
      aliveSubject(name),
      ...reading(EVENTS_STREAM),
      ...writingBucket(Bucket.leases, Bucket.pushMarket),
      ...readingBucket(Bucket.slots, Bucket.trims),
    ],
    subscribe: [aliveSubject(name), pusherReadSubject(name, ANY), pusherTakenSubject(name, '*')],
  }
}

const USERS: Readonly<Record<string, (shape: Shape) => Permissions>> = {
  gateway: () => ({
    publish: [
      commandSubject(Log.accounts, ANY),
      commandSubject(Log.definitions, DEFINITIONS_SLOT),
      slotReadSubject(Log.accounts, ANY),
      slotReadSubject(Log.markets, ANY),
      pusherReadSubject('*', ANY),
      'rpc.auth.*',
      Rpc.ordersQuery,
      Rpc.statsQuery,
      Rpc.guidBlock,
      GATEWAY_ALIVE,
      ...reading(EVENTS_STREAM, STREAM_OF_LOG[Log.accounts]),
      ...TOKENS,
      ...readingBucket(Bucket.slots),
    ],
    subscribe: [replySubject('*'), GATEWAY_ALIVE, ALL_OWNERS, 'push.>', pusherTakenSubject('*', '*')],
  }),
  auth: () => ({
    publish: [commandSubject(Log.accounts, ANY), Rpc.guidBlock, ...writingBucket(Bucket.keys, Bucket.denied)],
    subscribe: ['rpc.auth.*'],
  }),
  guid: () => ({
    publish: [GUID_BOUND_SUBJECT, ...writingBucket(Bucket.guid)],
    subscribe: [GUID_BOUND_SUBJECT, Rpc.guidBlock],
  }),
  accounts: ({ accountSlots }) =>
    owning(
      [Log.accounts, Log.definitions],
      [
        commandSubject(Log.definitions, DEFINITIONS_SLOT),
        ...Object.values(Log).flatMap((to) => [
          ...sending(Log.accounts, accountSlots, to),
          ...sending(Log.definitions, 1, to),
        ]),
      ],
    ),
  engine: ({ marketSlots }) =>
    owning(
      [Log.markets],
      Object.values(Log).flatMap((to) => sending(Log.markets, marketSlots, to)),
    ),
  orders: () => ({
    publish: [hurrySubject('orders'), ...reading(EVENTS_STREAM)],
    subscribe: [hurrySubject('orders'), Rpc.ordersQuery],
  }),
  'event-log': () => ({
    publish: [hurrySubject('*'), ...reading(EVENTS_STREAM)],
    subscribe: [hurrySubject('*')],
  }),
  'ingest-kafka': () => ingest('kafka'),
  'ingest-rabbitmq': () => ingest('rabbitmq'),
  'push-market': () => {
    const { publish, subscribe } = pusher('push-market', [PushChannel.book, PushChannel.trades])
    // Where the log was trimmed it asks the engine.
    return { publish: [...publish, slotReadSubject(Log.markets, ANY)], subscribe }
  },
  stats: () => {
    const { publish, subscribe } = pusher('stats', [PushChannel.candles, PushChannel.ticker])
    const hurries = hurrySubject('*')
    const invoker = aliveSubject('stats-invoker')
    return {
      // Discounts on fees are commands; ids are asked for.
      publish: [
        ...publish,
        ...[hurries, invoker, commandSubject(Log.accounts, ANY), Rpc.guidBlock],
        ...reading(STREAM_OF_LOG[Log.accounts]),
      ],
      subscribe: [...subscribe, hurries, invoker, Rpc.statsQuery, Rpc.statsRebuild, Rpc.statsProgress],
    }
  },
  'push-orders': () => pusher('push-orders', [PushChannel.orders, PushChannel.fills]),
  'push-accounts': () => pusher('push-accounts', [PushChannel.balances]),
  /** Copies the logs, and removes what is copied. */
  archive: () => ({
    publish: [
      aliveSubject('archive'),
      ...reading(...LOG_STREAMS, EVENTS_STREAM, `OBJ_${SNAPSHOTS_STORE}`),
      ...[...LOG_STREAMS, EVENTS_STREAM].map((stream) => `$JS.API.STREAM.PURGE.${stream}`),
      ...writingBucket(Bucket.trims, Bucket.leases),
      ...readingBucket(Bucket.feeds, Bucket.slots, Bucket.pushMarket),
      `$JS.API.STREAM.CREATE.OBJ_${SNAPSHOTS_STORE}`,
    ],
    subscribe: [aliveSubject('archive')],
  }),
  alerts: () => ({ publish: [], subscribe: [Rpc.alertsTest] }),
  /** Looks at everything, and changes nothing: what an admin may do there is to ask for a snapshot or a test alert. */
  'operator-page': () => ({
    publish: [
      WHO_IS_THERE,
      Rpc.authLogin,
      Rpc.authRefresh,
      Rpc.authLogout,
      Rpc.ordersQuery,
      Rpc.alertsTest,
      slotReadSubject(Log.accounts, ANY),
      ...Object.values(Log).map((log) => slotSnapshotSubject(log, ANY)),
      ...reading(...LOG_STREAMS, EVENTS_STREAM),
      ...TOKENS,
      ...readingBucket(Bucket.leases, Bucket.slots),
      '$JS.API.STREAM.LIST',
      '$JS.API.CONSUMER.LIST.*',
    ],
    subscribe: [ALL_OWNERS],
  }),
}
