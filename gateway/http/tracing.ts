import type { IncomingHttpHeaders } from 'node:http'
import type { Logger } from 'pino'
import type { EdgeTrace } from '#mesh/telemetry/edge-trace.ts'
import type { Identity } from '../members/identity.ts'
import { problemOf } from '../problem.ts'
import type { Answer, Endpoint } from './endpoint.ts'
import type { Gate } from './serve.ts'

const FAILED_STATUS = 500

/** Of a request; none where tracing is off. */
export type RequestTrace = EdgeTrace | undefined

/** What is beyond the share that is sampled costs the exchange, so only an admin may ask for it (`1`), or for none (`0`). */
export function sampleFor(trace: EdgeTrace, identity: Identity, headers: IncomingHttpHeaders): void {
  const wanted = headers['x-trace-sampled']
  if (wanted === undefined || !identity.isAdmin) return
  trace.sample(wanted === '1')
}

/** A problem says its trace in its body as well. */
export function withTraceId({ code, json }: Answer, trace: EdgeTrace): string {
  return code === undefined ? json : `${json.slice(0, -1)},"traceId":"${trace.traceId}"}`
}

/** Ends the trace with the answer; what failed or was slow is told in the log too. */
export function endTrace(trace: EdgeTrace, name: string, answer: Answer, log: Logger): void {
  const { status, code } = answer
  const why = trace.end({ name, code, status, isFailed: status >= FAILED_STATUS })
  if (why === undefined) return
  const { traceId, orderId } = trace
  log.warn({ traceId, orderId, request: name, status, code }, `a request ${why === 'slow' ? 'was slow' : 'failed'}`)
}

/**
 * What is sampled, and what only reads, belongs to the trace with all that it asks other services and servers. An order that is not
 * sampled carries its trace with it, which costs less.
 */
export function within(
  { telemetry }: Gate,
  trace: RequestTrace,
  endpoint: Endpoint,
  call: Parameters<Endpoint['handle']>[0],
): Answer | Promise<Answer> {
  const isCarried = trace === undefined || (trace.span === undefined && endpoint.access === 'trade')
  return telemetry === undefined || isCarried
    ? endpoint.handle(call)
    : telemetry.run(trace, () => endpoint.handle(call))
}

/** Answers a request that came over a WebSocket, within a trace of its own where tracing is on. */
export async function traced(
  gate: Gate,
  name: string,
  endpoint: Endpoint,
  call: Parameters<Endpoint['handle']>[0],
): Promise<{ readonly answer: Answer; readonly traceId?: string }> {
  const { telemetry, log } = gate
  const trace = telemetry?.begin()
  if (trace === undefined) return { answer: await endpoint.handle(call) }
  try {
    const answer = await within(gate, trace, endpoint, { ...call, trace })
    endTrace(trace, name, answer, log)
    return { answer, traceId: trace.traceId }
  } catch (error) {
    const { status, code } = problemOf(error)
    endTrace(trace, name, { status, code, json: '' }, log)
    throw error
  }
}
