import { headers, type MsgHdrs } from '@nats-io/transport-node'
import type { ActiveTrace, Telemetry } from './telemetry.ts'
import { childOf, isTraceparent, type Traceparent } from './traceparent.ts'

const TRACEPARENT = 'traceparent'

/** A header that carries the span along. */
export function headersWith(span: Traceparent): MsgHdrs {
  const carried = headers()
  carried.set(TRACEPARENT, span)
  return carried
}

/** The span that a message belongs to, where it is sampled. */
export function spanOf(message: {
  readonly headers?: { get?(name: string): string } | undefined
}): Traceparent | undefined {
  const span = message.headers?.get?.(TRACEPARENT)
  return isTraceparent(span) ? span : undefined
}

/** A question to a service, on behalf of a sampled request. The span is ended by whoever asked. */
export interface Asking {
  readonly headers: MsgHdrs
  end(code?: string): void
}

export function askAs(telemetry: Telemetry | undefined, subject: string): Asking | undefined {
  const parent = telemetry?.active()?.span
  if (telemetry === undefined || parent === undefined) return undefined
  const self = childOf(parent)
  const startUs = telemetry.nowUs()
  return {
    headers: headersWith(self),
    end: (error) =>
      telemetry.record({
        name: `ask ${subject}`,
        self,
        parent,
        kind: 'client',
        startUs,
        endUs: telemetry.nowUs(),
        attributes: { 'messaging.system': 'nats' },
        error,
      }),
  }
}

/** Answers a question within the trace of whoever asked. */
export async function answerAs<Result>(
  telemetry: Telemetry,
  parent: Traceparent,
  subject: string,
  work: () => Promise<Result>,
): Promise<Result> {
  const span = childOf(parent)
  const startUs = telemetry.nowUs()
  const attributes: Record<string, string | number | boolean> = { 'messaging.system': 'nats' }
  const trace: ActiveTrace = {
    span,
    note: (key, value) => {
      attributes[key] = value
    },
  }
  let error: string | undefined
  try {
    return await telemetry.run(trace, work)
  } catch (failure) {
    error = failure instanceof Error && 'code' in failure ? String(failure.code) : String(failure)
    throw failure
  } finally {
    telemetry.record({
      name: `answer ${subject}`,
      self: span,
      parent,
      kind: 'server',
      startUs,
      endUs: telemetry.nowUs(),
      attributes,
      error,
    })
  }
}
