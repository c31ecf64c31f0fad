import { RequestError, TimeoutError } from '@nats-io/transport-node'
import { type Bus, type BusMessage, type BusSubscription, telemetryOf, timeOf } from './bus.ts'
import { answerAs, askAs, spanOf } from './telemetry/rpc.ts'
import type { Telemetry } from './telemetry/telemetry.ts'
import { sleep } from './time.ts'

/** A refusal or failure with a stable, public code. Texts may change. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  readonly code: string
  readonly details: Record<string, unknown> | undefined

  constructor(code: string, message: string, details?: Record<string, unknown>) {
    super(message)
    this.code = code
    this.details = details
  }
}

type Answer =
  | { readonly ok: true; readonly value: unknown }
  | {
      readonly ok: false
      readonly code: string
      readonly message: string
      readonly details?: Record<string, unknown>
    }

/** Answers requests with JSON. What the handler throws as `RpcError` reaches the caller; anything else is `internal_error`. */
export function serveRpc(
  nats: Bus,
  subject: string,
  queue: string | undefined,
  handler: (request: unknown) => Promise<object>,
  onFailure: (error: unknown) => void = () => {},
): Served {
  const underWay = new Set<Promise<void>>()
  const telemetry = telemetryOf(nats)
  const subscription = nats.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, message) => {
      if (error) return onFailure(error)
      const handle = telemetry === undefined ? handler : tracedHandler(telemetry, message, handler)
      const answering = answer(message, handle, onFailure).finally(() => underWay.delete(answering))
      underWay.add(answering)
    },
  })
  let ended: Promise<void> | undefined
  const end = async (): Promise<void> => {
    all.delete(served)
    await endSubscription(subscription)
    await Promise.all(underWay)
  }
  const served: Served = {
    drain: () => {
      ended ??= end()
      return ended
    },
  }
  const all = servedOn(nats)
  all.add(served)
  return served
}

export interface Served {
  /** Takes no more requests, and ends when those that came are answered. */
  drain(): Promise<void>
}

const servedByBus = new WeakMap<Bus, Set<Served>>()

function servedOn(nats: Bus): Set<Served> {
  let all = servedByBus.get(nats)
  if (all === undefined) {
    all = new Set()
    servedByBus.set(nats, all)
  }
  return all
}

/** Takes no more requests on this connection: they go to other instances. Ends when those that came are answered. */
export async function drainRpc(nats: Bus): Promise<void> {
  await Promise.all([...servedOn(nats)].map((served) => served.drain()))
}

async function endSubscription(subscription: BusSubscription): Promise<void> {
  if (subscription.drain === undefined) subscription.unsubscribe()
  else await subscription.drain()
}

function tracedHandler(
  telemetry: Telemetry,
  message: BusMessage,
  handler: (request: unknown) => Promise<object>,
): (request: unknown) => Promise<object> {
  const span = spanOf(message)
  if (span === undefined) return handler
  return (request) => answerAs(telemetry, span, message.subject, () => handler(request))
}

async function answer(
  message: BusMessage,
  handler: (request: unknown) => Promise<object>,
  onFailure: (error: unknown) => void,
): Promise<void> {
  let result: Answer
  try {
    result = { ok: true, value: await handler(message.data.length === 0 ? {} : JSON.parse(message.string())) }
  } catch (error) {
    if (error instanceof RpcError) {
      result = {
        ok: false,
        code: error.code,
        message: error.message,
        ...(error.details === undefined ? {} : { details: error.details }),
      }
    } else {
      onFailure(error)
      result = { ok: false, code: 'internal_error', message: 'The request failed inside the service.' }
    }
  }
  message.respond(JSON.stringify(result))
}

/** How long nobody may serve a subject before that is told, and how often it is looked for somebody, in milliseconds. */
const NOBODY_MS_MAX = 2_000
const LOOK_MS = 50

/** As `callRpc`, but waits a moment for somebody who serves it: an instance that is being replaced is not noticed. */
export async function callRpcPatiently<T>(nats: Bus, subject: string, request: object, timeoutMs: number): Promise<T> {
  const time = timeOf(nats)
  const deadlineMs = time.nowMs() + NOBODY_MS_MAX
  for (;;) {
    try {
      return await callRpc<T>(nats, subject, request, timeoutMs)
    } catch (error) {
      const isNobody = error instanceof RpcError && error.details?.nobody === true
      if (!isNobody || time.nowMs() > deadlineMs) throw error
      await sleep(time, LOOK_MS)
    }
  }
}

/**
 * Asks a service.
 * @throws RpcError with the service's code, `service_unavailable` when nobody serves the subject, or `service_timeout`.
 */
export async function callRpc<T>(nats: Bus, subject: string, request: object, timeoutMs: number): Promise<T> {
  const asking = askAs(telemetryOf(nats), subject)
  try {
    const value = await ask<T>(nats, subject, request, {
      timeout: timeoutMs,
      ...(asking === undefined ? {} : { headers: asking.headers }),
    })
    asking?.end()
    return value
  } catch (error) {
    asking?.end(error instanceof RpcError ? error.code : String(error))
    throw error
  }
}

async function ask<T>(nats: Bus, subject: string, request: object, options: Parameters<Bus['request']>[2]): Promise<T> {
  const { timeout: timeoutMs } = options
  let reply: BusMessage
  try {
    reply = await nats.request(subject, JSON.stringify(request), options)
  } catch (error) {
    if (error instanceof RequestError && error.isNoResponders()) {
      throw new RpcError('service_unavailable', `Nobody serves ${subject}.`, { nobody: true })
    }
    if (error instanceof TimeoutError || (error instanceof RequestError && error.cause instanceof TimeoutError)) {
      throw new RpcError('service_timeout', `No answer from ${subject} within ${timeoutMs} ms.`)
    }
    throw new RpcError('service_unavailable', `${subject} cannot be asked: ${String(error)}`)
  }
  const answer = reply.json<Answer>()
  if (answer.ok) return answer.value as T
  throw new RpcError(answer.code, answer.message, answer.details)
}
