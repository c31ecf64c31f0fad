import { counter, gauge, histogram, SECONDS_BUCKETS } from '#mesh/metrics.ts'
import type { Answer } from './endpoint.ts'

const durations = histogram(
  'http_request_duration_seconds',
  'Time from a request to its answer, by route and status.',
  ['method', 'route', 'status'],
  SECONDS_BUCKETS,
)
const refusals = counter('http_refusals_total', 'Refused requests by route and code.', ['method', 'route', 'code'])

/** Counts what a route answers. */
export function countAnswers(method: string, route: string): (answer: Answer, durationMs: number) => void {
  return ({ status, code }, durationMs) => {
    durations.observe({ method, route, status }, durationMs / 1000)
    if (code !== undefined) refusals.inc({ method, route, code })
  }
}

export const inFlight = gauge('http_requests_in_flight', 'Requests that were admitted and are not answered.', [])

export const streamConnections = gauge('gateway_stream_connections', 'WebSockets that are open.', [])
