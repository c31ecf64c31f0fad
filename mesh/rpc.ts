import { RequestError, TimeoutError } from '@nats-io/transport-node'
import type { Bus, BusMessage } from './bus.ts'

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
): { unsubscribe(): void } {
  return nats.subscribe(subject, {
    ...(queue === undefined ? {} : { queue }),
    callback: (error, message) => {
      if (error) onFailure(error)
      else void answer(message, handler, onFailure)
    },
  })
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

/**
 * Asks a service.
 * @throws RpcError with the service's code, `service_unavailable` when nobody serves the subject, or `service_timeout`.
 */
export async function callRpc<T>(nats: Bus, subject: string, request: object, timeoutMs: number): Promise<T> {
  let reply: BusMessage
  try {
    reply = await nats.request(subject, JSON.stringify(request), { timeout: timeoutMs })
  } catch (error) {
    if (error instanceof RequestError && error.isNoResponders()) {
      throw new RpcError('service_unavailable', `Nobody serves ${subject}.`)
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
