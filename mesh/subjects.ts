/**
 * Every subject, stream and bucket name of the mesh has its one owner here.
 * A log is a JetStream stream; a slot of it reads `<log>.<slot>.>`.
 */

/** The input logs, by the kind of machine that reads them. */
export const Log = { accounts: 'accounts', markets: 'markets', definitions: 'definitions' } as const
export type Log = (typeof Log)[keyof typeof Log]

/** Operators know a log by the service that runs it. */
export const LOG_OF_SERVICE: ReadonlyMap<string, Log> = new Map([
  ['accounts', Log.accounts],
  ['engine', Log.markets],
  ['definitions', Log.definitions],
])

export const STREAM_OF_LOG: Record<Log, string> = {
  accounts: 'ACCOUNTS',
  markets: 'MARKETS',
  definitions: 'DEFINITIONS',
}

export const EVENTS_STREAM = 'EVENTS'

/** What keeps its position in MySQL, under this name. */
export const Projection = { orders: 'orders', candles: 'stats-markets', memberDays: 'stats-members' } as const

/** The log whose frames it reads. */
export const LOG_OF_PROJECTION: ReadonlyMap<string, Log> = new Map([
  [Projection.orders, Log.accounts],
  [Projection.candles, Log.markets],
  [Projection.memberDays, Log.accounts],
])

/** The definitions machine has one slot. */
export const DEFINITIONS_SLOT = 0

/** Where the edge (gateways, ingests, auth's outbox) appends its commands. */
export const commandSubject = (log: Log, slot: number): string => `${log}.${slot}.cmd`

/** Where one machine slot, named `<log>-<slot>`, appends what it has to say to another. */
export const pairSubject = (log: Log, slot: number, source: string): string => `${log}.${slot}.from.${source}`

/** Everything that one slot reads. */
export const slotFilter = (log: Log, slot: number): string => `${log}.${slot}.>`

/** The name under which a slot writes to other slots. */
export const sourceName = (log: Log, slot: number): string => `${log}-${slot}`

/** The one subject of a slot's frames. */
export const framesSubject = (log: Log, slot: number): string => `events.${log}.${slot}`

/** Results of commands on their way to the gateway (or ingest) instance that sent them; core NATS. */
export const replySubject = (instanceId: string): string => `reply.${instanceId}`

/** A slot owner's sign of life, every 300 ms, on core NATS. */
export const ownerSubject = (log: Log, slot: number): string => `owner.${log}.${slot}`

/** All owners' signs of life. */
export const ALL_OWNERS = 'owner.>'

/** Asks every instance what it is and how it is; core NATS request, answered by all. */
export const WHO_IS_THERE = 'instances.ask'

/** A gateway's sign of life with its instance id, every second, on core NATS: the caps of the mesh are divided by the living. */
export const GATEWAY_ALIVE = 'alive.gateway'

/** An instance's sign of life to the others that run the same log (or feed), with the slots that it could take over; core NATS. */
export const aliveSubject = (log: string): string => `alive.${log}`

/** How often owners and instances say that they live, in milliseconds. */
export const ALIVE_MS = 300

/** Reads that a slot's owner answers from memory; core NATS request. */
export const slotReadSubject = (log: Log, slot: number): string => `rpc.${log}.${slot}.read`

/** Asks for a snapshot of a slot now; core NATS request, answered when it is kept. */
export const slotSnapshotSubject = (log: Log, slot: number): string => `rpc.${log}.${slot}.snapshot`

/** Asks whoever writes a slot of this projection to write soon; the payload is the slot's number. Core NATS. */
export const hurrySubject = (projection: string): string => `projection.${projection}.hurry`

/** What pushers tell gateways. Public channels go by instrument, private ones by member. */
export const PushChannel = {
  book: 'book',
  trades: 'trades',
  ticker: 'ticker',
  candles: 'candles',
  orders: 'orders',
  fills: 'fills',
  balances: 'balances',
} as const
export type PushChannel = (typeof PushChannel)[keyof typeof PushChannel]

/** Where a pusher tells what happened, for whoever subscribes; core NATS, so that each gateway gets what its connections want. */
export const pushSubject = (channel: PushChannel, key: string | number): string => `push.${channel}.${key}`

/** A slot of a pusher has a new owner, who may not have told everything that the old one would have; core NATS. */
export const pusherTakenSubject = (pusher: string, slot: number | '*'): string => `pusher.${pusher}.taken.${slot}`

/** What the owner of a pusher's slot remembers; core NATS request. */
export const pusherReadSubject = (pusher: string, slot: number): string => `rpc.${pusher}.${slot}.read`

/** Requests to the services without state of their own; core NATS request, queue group = the first word after `rpc`. */
export const Rpc = {
  guidBlock: 'rpc.guid.block',
  authVerify: 'rpc.auth.verify',
  authRegister: 'rpc.auth.register',
  authLogin: 'rpc.auth.login',
  authRefresh: 'rpc.auth.refresh',
  authLogout: 'rpc.auth.logout',
  authJwks: 'rpc.auth.jwks',
  authChangePassword: 'rpc.auth.change-password',
  authCloseMember: 'rpc.auth.close-member',
  authCreateToken: 'rpc.auth.create-token',
  authListTokens: 'rpc.auth.list-tokens',
  authRevokeToken: 'rpc.auth.revoke-token',
  authListMembers: 'rpc.auth.list-members',
  authBlockMember: 'rpc.auth.block-member',
  authUnblockMember: 'rpc.auth.unblock-member',
  authSetRoles: 'rpc.auth.set-roles',
  authDenyList: 'rpc.auth.deny-list',
  authRotateKey: 'rpc.auth.rotate-key',
  authSeed: 'rpc.auth.seed',
  ordersQuery: 'rpc.orders.query',
  statsQuery: 'rpc.stats.query',
  statsRebuild: 'rpc.stats.rebuild',
  statsProgress: 'rpc.stats.progress',
  alertsTest: 'rpc.alerts.test',
} as const

/** Where guid instances tell each other how far they moved the bound; core NATS. */
export const GUID_BOUND_SUBJECT = 'guid.bound'

/** Where the bucket `trims` says from which sequence on a slot's log is whole. */
export const trimKey = (stream: string, slot: number): string => `${stream}.${slot}`

/** The object store of the snapshots. */
export const SNAPSHOTS_STORE = 'snapshots'

/** Key-value buckets. */
export const Bucket = {
  /** Who owns which slot, under `<log>.<slot>`. */
  leases: 'leases',
  /** Revocations, blocks and denials that every gateway loads before it is ready and then watches. */
  denied: 'denied',
  /** Public keys of the token issuer, by key id. */
  keys: 'keys',
  /** Slots: halted or not, with position and reason. */
  slots: 'slots',
  /** Up to where the logs were trimmed, under `<stream>.<slot>`. Written before anything is removed. */
  trims: 'trims',
  /** The upper bound of the ids that were handed out. */
  guid: 'guid',
  /** What push-market has made of the frames so far: `<slot>` how far, `<slot>.<instrument>` the market. */
  pushMarket: 'push-market',
  /** How much is traced, where an operator has said otherwise than the configuration. */
  tracing: 'tracing',
  /** How far each feed of results has been confirmed, under `<feed>.<slot>`. */
  feeds: 'feeds',
} as const
