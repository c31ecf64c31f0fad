import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { TObject } from 'typebox'
import type { RawData, WebSocket } from 'ws'
import { parsePosition } from '#mesh/domain/position.ts'
import { formatTime } from '#mesh/edge/time.ts'
import type { Position } from '#mesh/frames.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { CODES, type Code } from '../codes.ts'
import { addressOf } from '../http/address.ts'
import type { Access, Answer, Endpoint } from '../http/endpoint.ts'
import { type Gate, identifyToken, memberActedFor } from '../http/serve.ts'
import { traced } from '../http/tracing.ts'
import { type Buckets, createBuckets } from '../limits/buckets.ts'
import type { Identity } from '../members/identity.ts'
import { Problem, problemBody, problemOf } from '../problem.ts'
import { type Checker, checkerOf } from '../schemas/check.ts'
import { CLIENT_MESSAGES, type Op } from '../schemas/stream.ts'
import { type Channel, type PrivateKind, type PublicChannel, parseChannel } from './channels.ts'
import type { PrivateFeeds, PrivateFollow, PrivateSink } from './private-feeds.ts'
import type { PublicFeeds } from './public-feeds.ts'
import type { Sink } from './topic.ts'

export interface StreamLimits {
  /** Over all of a gateway's connections, and of one address. */
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  /** Of one connection. */
  readonly channelsMax: number
  readonly messages: { readonly perSecond: number; readonly burst: number }
  /** How often it is pinged; a client that was not heard of for three times as long is gone, for it answers every ping. */
  readonly heartbeatSeconds: number
}

export interface ConnectionParts {
  readonly gate: Gate
  readonly publicFeeds: PublicFeeds
  readonly privateFeeds: PrivateFeeds
  /** What trading messages are answered by. */
  readonly trading: TradingEndpoints
  readonly limits: StreamLimits
  readonly nowUs: () => number
  readonly log: Logger
}

/** The largest message of a client, as the largest body over HTTP. */
export const MESSAGE_BYTES_MAX = 64 * 1024
const BEATS_MISSED_MAX = 3
/** Bytes that wait for a client: beyond the first it is told nothing public, beyond the second the connection ends. */
const FULL_BYTES = 64 * 1024
const BYTES_MAX = 1024 * 1024
const DRAIN_LOOK_MS = 20
const DRAIN_MS_MAX = 30_000
/** Orders, cancels and amendments of one connection that are under way. */
const UNDER_WAY_MAX = 256
/** So many messages beyond the rate more than within it, and the connection ends. */
const REFUSED_MAX = 1_000
/** So long a client may take to end its side. */
const CLOSE_MS_MAX = 3_000

/** WebSocket's close codes. */
const CloseCode = { goingAway: 1001, tooLarge: 1009, policy: 1008, tryAgain: 1013 } as const

const checkers = Object.fromEntries(
  Object.entries(CLIENT_MESSAGES).map(([op, schema]) => [op, checkerOf<TObject>(schema)]),
) as Record<Op, Checker<TObject>>

/** The HTTP endpoints that trade, so that both edges are one. */
export interface TradingEndpoints {
  readonly place: Endpoint
  readonly amend: Endpoint
  readonly cancel: Endpoint
  readonly cancelAll: Endpoint
}

interface Message {
  readonly id: string | null
  readonly op: string | null
  // biome-ignore lint/suspicious/noExplicitAny: a checker accepts it before anything is read
  readonly body: any
}

const joined = new Set<Socket>()

/** All that is written to a socket in this turn of the event loop leaves as one write. */
function joinWrites(socket: Socket): void {
  if (joined.has(socket)) return
  if (joined.size === 0) {
    process.nextTick(() => {
      for (const one of joined) one.uncork()
      joined.clear()
    })
  }
  joined.add(socket)
  socket.cork()
}

/** One WebSocket: what it subscribes to, who it is, and what it may. */
export class Connection implements Sink, PrivateSink {
  readonly id: string
  readonly address: string
  readonly #socket: WebSocket
  readonly #tcp: Socket
  readonly #parts: ConnectionParts
  readonly #onClosed: () => void
  readonly #public = new Map<string, PublicChannel>()
  readonly #private = new Map<string, PrivateFollow>()
  readonly #rate: Buckets
  #token: string | undefined
  #memberId = 0
  #heardAtMs = performance.now()
  /** Those who connect at once are not beaten at once. */
  #beatAtMs: number
  #underWay = 0
  #refused = 0
  #isOver = false

  constructor(id: string, socket: WebSocket, request: IncomingMessage, parts: ConnectionParts, onClosed: () => void) {
    this.id = id
    this.#socket = socket
    this.#tcp = request.socket
    this.#parts = parts
    this.#onClosed = onClosed
    this.#rate = createBuckets(parts.limits.messages)
    this.#beatAtMs = performance.now() + Math.random() * parts.limits.heartbeatSeconds * 1_000
    this.address = addressOf(request)
    socket.on('message', (data, isBinary) => this.#take(data, isBinary))
    socket.on('pong', () => {
      this.#heardAtMs = performance.now()
    })
    socket.on('error', (error) => this.#onError(error))
    socket.on('close', () => this.#ended())
    this.#say({
      type: 'welcome',
      connection: id,
      time: formatTime(parts.nowUs()),
      heartbeatSeconds: parts.limits.heartbeatSeconds,
      channelsMax: parts.limits.channelsMax,
      messageBytesMax: MESSAGE_BYTES_MAX,
    })
  }

  get isOpen(): boolean {
    return !this.#isOver
  }

  get isFull(): boolean {
    return this.#isOver || this.#socket.bufferedAmount > FULL_BYTES
  }

  /** Public messages, which a full connection is not given. */
  send(message: Buffer): void {
    if (this.#isOver) return
    joinWrites(this.#tcp)
    this.#socket.send(message, TEXT)
  }

  /** A message that is not left out: one that finds no room ends the connection. */
  sendPrivate(message: string): void {
    if (this.#isOver) return
    this.#socket.send(message)
    if (this.#socket.bufferedAmount > BYTES_MAX) this.end('slow_consumer')
  }

  async drained(): Promise<boolean> {
    const deadlineMs = performance.now() + DRAIN_MS_MAX
    while (!this.#isOver && this.#socket.bufferedAmount > FULL_BYTES) {
      if (performance.now() > deadlineMs) this.end('slow_consumer')
      await sleep(DRAIN_LOOK_MS)
    }
    return !this.#isOver
  }

  /** Looks whether who logged in may still be here. */
  checkLogin(): void {
    if (this.#token === undefined || this.#isOver) return
    const { gate } = this.#parts
    const claims = gate.verifier.verify(this.#token)
    // While nobody can be checked nobody is let do anything either.
    if ('code' in claims) {
      if (claims.code !== 'auth_not_ready') this.end(claims.code)
      return
    }
    for (const { memberId } of [...this.#private.values()]) {
      const denial = memberId === this.#memberId ? undefined : gate.verifier.denialOf(memberId)
      if (denial !== undefined) this.end(denial)
    }
  }

  /** When it is due. */
  beat(): void {
    const nowMs = performance.now()
    if (this.#isOver || nowMs < this.#beatAtMs) return
    const everyMs = this.#parts.limits.heartbeatSeconds * 1_000
    this.#beatAtMs = nowMs + everyMs
    if (nowMs - this.#heardAtMs > BEATS_MISSED_MAX * everyMs) {
      this.end('heartbeat_missed')
      return
    }
    this.#socket.ping()
    if (!this.isFull) this.#say({ type: 'heartbeat', time: formatTime(this.#parts.nowUs()) })
  }

  announceShutdown(seconds: number): void {
    this.#say({ type: 'server_shutdown', seconds })
  }

  /** Ends the connection with a code. */
  end(code: Code): void {
    if (this.#isOver) return
    const positions = [...this.#private.values()].map(({ channel, memberId, position }) => ({
      channel,
      memberId: String(memberId),
      position,
    }))
    this.#leaveAll()
    this.#socket.send(JSON.stringify({ type: 'closing', code, message: CODES[code].text, positions }))
    this.#socket.close(closeCodeOf(code), code)
    setTimeout(() => this.#socket.terminate(), CLOSE_MS_MAX).unref()
  }

  #ended(): void {
    this.#leaveAll()
    this.#onClosed()
  }

  #leaveAll(): void {
    this.#isOver = true
    for (const channel of this.#public.values()) this.#parts.publicFeeds.leave(channel, this)
    for (const follow of this.#private.values()) this.#parts.privateFeeds.leave(follow)
    this.#public.clear()
    this.#private.clear()
  }

  #onError(error: Error & { readonly code?: string }): void {
    // The library has ended it by then, with the code that WebSocket has for it.
    if (error.code !== 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') this.#parts.log.debug({ err: error }, 'a connection broke')
  }

  #say(message: object): void {
    if (!this.#isOver) this.sendPrivate(JSON.stringify(message))
  }

  #take(data: RawData, isBinary: boolean): void {
    this.#heardAtMs = performance.now()
    if (this.#isOver) return
    if (this.#rate.take(0) > 0) {
      this.#refused += 1
      if (this.#refused > REFUSED_MAX) this.end('rate_limited')
      else this.#refuse(NAMELESS, new Problem('rate_limited'))
      return
    }
    if (this.#refused > 0) this.#refused -= 1
    const message = isBinary ? undefined : parse(data.toString())
    if (message === undefined) {
      this.#refuse(NAMELESS, new Problem('json_invalid'))
      return
    }
    this.#carryOut(message).catch((error: unknown) => {
      const problem = problemOf(error)
      if (problem.code === 'internal_error')
        this.#parts.log.error({ err: error, connection: this.id }, 'a message failed')
      this.#refuse(message, problem)
    })
  }

  async #carryOut(message: Message): Promise<void> {
    const { op, body } = message
    if (op === null || !isOp(op)) throw new Problem(op === null ? 'missing_field' : 'invalid_value', { field: 'op' })
    const fault = faultOf(op, body)
    if (fault !== undefined) throw fault
    switch (op) {
      case 'ping':
        return this.#say({ type: 'pong', id: message.id, time: formatTime(this.#parts.nowUs()) })
      case 'login':
        return this.#answer(message, this.#login(body.token))
      case 'subscribe':
        return this.#subscribe(message)
      case 'unsubscribe':
        return this.#answer(message, this.#unsubscribe(body))
      case 'place':
        return this.#trade(message, this.#parts.trading.place, { body: body.order })
      case 'amend':
        return this.#trade(message, this.#parts.trading.amend, { body: body.change, reference: body.order })
      case 'cancel':
        return this.#trade(message, this.#parts.trading.cancel, { reference: body.order })
      case 'cancelAll': {
        const { instrument, side } = body
        const query = { ...(instrument === undefined ? {} : { instrument }), ...(side === undefined ? {} : { side }) }
        return this.#trade(message, this.#parts.trading.cancelAll, { query })
      }
    }
  }

  #login(token: string): object {
    const { gate } = this.#parts
    const waitSeconds = gate.limits.take('public', 0, this.address)
    if (waitSeconds > 0) throw new Problem('rate_limited', { retryAfterSeconds: waitSeconds })
    const identity = identifyToken(gate, token, 'public')
    if (typeof identity === 'string') throw new Problem(identity, { field: 'token' })
    if (this.#memberId !== 0 && identity.memberId !== this.#memberId) throw new Problem('forbidden', { field: 'token' })
    this.#token = token
    this.#memberId = identity.memberId
    const { memberId, scopes, expiresAtMs } = identity
    return { memberId: String(memberId), scopes, expiresAt: formatTime(expiresAtMs * 1_000) }
  }

  #identify(access: Access): Identity {
    if (this.#token === undefined) {
      throw new Problem('token_missing', { message: 'Log in on this connection first.' })
    }
    const identity = identifyToken(this.#parts.gate, this.#token, access)
    if (typeof identity === 'string') throw new Problem(identity)
    return identity
  }

  /** For whom a message is: who logged in, or whom a broker's token names. */
  #memberOf(identity: Identity, named: string | undefined): { memberId: number; slot: number } {
    const { gate } = this.#parts
    const memberId = named === undefined ? identity.memberId : memberNamed(gate, identity, named)
    return { memberId, slot: accountSlotOf(memberId, gate.accountSlots) }
  }

  /** The answer comes first, then what the channels tell. All of them, or none. */
  #subscribe(message: Message): void {
    const { body } = message
    const channels: Channel[] = (body.channels as string[]).map(parseChannel)
    const isPrivate = channels.some((channel) => !('instrument' in channel))
    const member =
      isPrivate || body.memberId !== undefined ? this.#memberOf(this.#identify('read'), body.memberId) : undefined
    const positions = positionsOf(body.positions)
    if (isPrivate) this.#takeRead(member?.memberId ?? 0)
    const names = new Set(channels.map((channel) => keyOf(channel, member?.memberId)))
    const added = [...names].filter((name) => !this.#public.has(name) && !this.#private.has(name))
    if (this.#public.size + this.#private.size + added.length > this.#parts.limits.channelsMax) {
      throw new Problem('too_many_channels', { field: 'channels' })
    }
    for (const channel of channels) if ('instrument' in channel) this.#parts.publicFeeds.check(channel)
    this.#answer(message, { channels: channels.map(({ name }) => name) })
    for (const channel of channels) {
      if ('instrument' in channel) this.#followPublic(channel)
      else if (member !== undefined) this.#followPrivate(channel.kind, member, positions[channel.kind])
    }
  }

  /** What was missed is read for him, as over HTTP. */
  #takeRead(memberId: number): void {
    const waitSeconds = this.#parts.gate.limits.take('read', memberId, this.address)
    if (waitSeconds > 0) throw new Problem('rate_limited', { retryAfterSeconds: waitSeconds })
  }

  #followPublic(channel: PublicChannel): void {
    if (this.#public.has(channel.name)) return
    this.#public.set(channel.name, channel)
    this.#parts.publicFeeds.follow(channel, this)
  }

  #followPrivate(kind: PrivateKind, member: { memberId: number; slot: number }, after: Position | undefined): void {
    const { privateFeeds } = this.#parts
    const key = `${kind}:${member.memberId}`
    const followed = this.#private.get(key)
    if (followed !== undefined && after === undefined) return
    if (followed !== undefined) privateFeeds.leave(followed)
    this.#private.set(key, privateFeeds.follow(kind, member, after, this))
  }

  #unsubscribe(body: { readonly channels: readonly string[]; readonly memberId?: string }): object {
    const channels = body.channels.map(parseChannel)
    const memberId = body.memberId === undefined ? this.#memberId : Number(body.memberId)
    for (const channel of channels) {
      const key = keyOf(channel, memberId)
      const follow = this.#private.get(key)
      if (follow !== undefined) this.#parts.privateFeeds.leave(follow)
      this.#private.delete(key)
      if ('instrument' in channel && this.#public.delete(channel.name)) this.#parts.publicFeeds.leave(channel, this)
    }
    return { channels: channels.map(({ name }) => name) }
  }

  /** What HTTP does with a request, in the same order: room, token, rate, shape, endpoint. */
  async #trade(
    message: Message,
    endpoint: Endpoint,
    what: { readonly body?: unknown; readonly reference?: string; readonly query?: object },
  ): Promise<void> {
    const { gate } = this.#parts
    if (this.#underWay >= UNDER_WAY_MAX) throw new Problem('too_many_requests')
    const refused = gate.admission.enter(endpoint.kind)
    if (refused !== undefined) throw new Problem(refused)
    this.#underWay += 1
    try {
      const identity = this.#identify(endpoint.access)
      const { memberId, slot } = this.#memberOf(identity, message.body.memberId)
      const waitSeconds = gate.limits.take(endpoint.kind, memberId, this.address)
      if (waitSeconds > 0) throw new Problem('rate_limited', { retryAfterSeconds: waitSeconds })
      const { body, reference, query = {} } = what
      const checker = bodyCheckerOf(endpoint)
      if (checker !== undefined && !checker.accepts(body)) throw checker.problem(body)
      const call = {
        requestId: `${this.id}-${message.id ?? ''}`,
        identity,
        memberId,
        slot,
        params: reference === undefined ? {} : { reference },
        query,
        body,
        address: this.address,
      }
      const { answer, traceId } = await traced(gate, `stream ${message.op}`, endpoint, call)
      this.#answerWith(message, answer, traceId)
    } finally {
      this.#underWay -= 1
      gate.admission.leave()
    }
  }

  #answer(message: Message, result: object): void {
    this.#answerWith(message, { status: 200, json: JSON.stringify(result) })
  }

  #answerWith({ id, op }: Message, { status, json }: Answer, traceId?: string): void {
    const name = status < 400 ? 'result' : 'error'
    const trace = traceId === undefined ? '' : `,"traceId":"${traceId}"`
    const about = `"id":${JSON.stringify(id)},"op":${JSON.stringify(op)}${trace}`
    this.sendPrivate(`{"type":"${name}",${about},"status":${status},"${name}":${json}}`)
  }

  #refuse(message: Message, { code, details, status }: Problem): void {
    this.#answerWith(message, { status, json: problemBody(code, details) })
  }
}

const TEXT = { binary: false } as const
const NAMELESS: Message = { id: null, op: null, body: undefined }

const faultOf = (op: Op, body: unknown): Problem | undefined =>
  checkers[op].accepts(body) ? undefined : checkers[op].problem(body)

const isOp = (op: string): op is Op => Object.hasOwn(CLIENT_MESSAGES, op)

const keyOf = (channel: Channel, memberId: number | undefined): string =>
  'instrument' in channel ? channel.name : `${channel.kind}:${memberId}`

function closeCodeOf(code: Code): number {
  if (code === 'server_shutdown') return CloseCode.goingAway
  return code === 'slow_consumer' || code === 'too_many_connections' ? CloseCode.tryAgain : CloseCode.policy
}

/** `undefined` for what is no JSON. What the answer repeats is taken only where it is what it should be. */
function parse(text: string): Message | undefined {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return undefined
  }
  const { id, op } = typeof body === 'object' && body !== null ? (body as { id?: unknown; op?: unknown }) : {}
  const short = (value: unknown): string | null => (typeof value === 'string' ? value.slice(0, 64) : null)
  return { id: short(id), op: short(op), body }
}

const bodyCheckers = new WeakMap<Endpoint, Checker<TObject>>()

function bodyCheckerOf(endpoint: Endpoint): Checker<TObject> | undefined {
  if (endpoint.body === undefined) return undefined
  let checker = bodyCheckers.get(endpoint)
  if (checker === undefined) {
    checker = checkerOf(endpoint.body)
    bodyCheckers.set(endpoint, checker)
  }
  return checker
}

/** @throws Problem `member_not_listed`, or why nobody may act for him, about the message's own field */
function memberNamed(gate: Gate, identity: Identity, named: string): number {
  try {
    return memberActedFor(gate, identity, named)
  } catch (error) {
    throw error instanceof Problem ? new Problem(error.code, { field: 'memberId' }) : error
  }
}

/** @throws Problem `invalid_value` */
function positionsOf(
  texts: Readonly<Partial<Record<PrivateKind, string>>> = {},
): Partial<Record<PrivateKind, Position>> {
  const positions: Partial<Record<PrivateKind, Position>> = {}
  for (const [kind, text] of Object.entries(texts) as [PrivateKind, string][]) {
    const position = parsePosition(text)
    if (position === undefined) throw new Problem('invalid_value', { field: `positions.${kind}` })
    positions[kind] = position
  }
  return positions
}
