import { createServer } from 'node:http'
import { server as createHapi, type Request, type ResponseToolkit, type Server } from '@hapi/hapi'
import type { Health } from '#mesh/service.ts'
import { asyncapiOf } from './asyncapi.ts'
import type { Code } from './codes.ts'
import { serveDocs } from './http/docs.ts'
import type { Endpoint } from './http/endpoint.ts'
import { type Gate, serve, write } from './http/serve.ts'
import { endTrace } from './http/tracing.ts'
import { openapiOf } from './openapi.ts'
import { problemAnswer } from './problem.ts'
import type { Stream } from './stream/stream.ts'
import { servePage } from './trading-page/serve-page.ts'

export const PREFIX = '/api/v3'
const STREAM_PATH = `${PREFIX}/stream`

/** Connections that wait to be taken: after a stop elsewhere thousands come at once. */
const BACKLOG = 4_096
/** Longer than Traefik's 90 s, so that it is always Traefik that ends a connection. */
const KEEP_ALIVE_MS = 120_000
/** How long headers, and headers and body together, may take. */
const HEADERS_MS_MAX = 10_000
const REQUEST_MS_MAX = 30_000

export interface ServerOptions {
  readonly host: string
  readonly port: number
  readonly endpoints: readonly Endpoint[]
  readonly gate: Gate
  readonly health: Health
  readonly stream: Stream
}

/** The HTTP server, not started yet. */
export async function createGatewayServer({
  host,
  port,
  endpoints,
  gate,
  health,
  stream,
}: ServerOptions): Promise<Server> {
  const listener = createServer({
    keepAliveTimeout: KEEP_ALIVE_MS,
    headersTimeout: HEADERS_MS_MAX,
    requestTimeout: REQUEST_MS_MAX,
    connectionsCheckingInterval: 5_000,
    noDelay: true,
  })
  // Hapi gives port, address and callback, and leaves the queue of those who connect at Node's 511.
  const listen = listener.listen.bind(listener)
  const listenWithRoom = (onPort: number, address: string, done: () => void) => listen(onPort, address, BACKLOG, done)
  listener.listen = listenWithRoom as typeof listener.listen
  const server = createHapi({
    listener,
    host,
    port,
    compression: false,
    debug: false,
    // Requests in hand are counted at admission; Hapi's own count costs a listener per request.
    operations: { cleanStop: false },
    routes: { state: { parse: false }, cors: false, cache: false, timeout: { server: false } },
  })
  for (const endpoint of endpoints) {
    server.route({
      method: endpoint.method,
      path: PREFIX + endpoint.path,
      handler: serve(endpoint, gate),
      // Bodies are read by `serve`; without the override Hapi would parse the content type.
      ...(endpoint.method === 'GET'
        ? {}
        : {
            options: { payload: { parse: false, output: 'stream', override: 'application/json', maxBytes: 2 ** 40 } },
          }),
    })
  }
  serveHealth(server, health)
  await serveDocs(server, [
    [`${PREFIX}/openapi.json`, openapiOf(endpoints, PREFIX)],
    [`${PREFIX}/asyncapi.json`, asyncapiOf(STREAM_PATH)],
  ])
  await servePage(server)
  server.route({
    method: 'GET',
    path: STREAM_PATH,
    handler: ({ raw }, h) => {
      write(raw.res, problemAnswer('upgrade_required'), gate.requestId(raw.req.headers['x-request-id']), true)
      return h.abandon
    },
  })
  stream.attach(listener, STREAM_PATH)
  answerWhatHapiRefuses(server, gate)
  return server
}

function serveHealth(server: Server, health: Health): void {
  server.route({ method: 'GET', path: '/health/live', handler: (_, h) => h.response({ live: true }) })
  server.route({
    method: 'GET',
    path: '/health/ready',
    handler: (_, h) => {
      const report = health.report()
      return h.response(report).code(report.ready ? 200 : 503)
    },
  })
}

/** No such route, a URL that cannot be read, a fault in a handler: they get a problem body as well. */
function answerWhatHapiRefuses(server: Server, gate: Gate): void {
  server.ext('onPreResponse', (request: Request, h: ResponseToolkit) => {
    const { response } = request
    if (!('isBoom' in response) || !response.isBoom) return h.continue
    const { statusCode } = response.output
    const code: Code = statusCode === 404 ? 'route_unknown' : statusCode < 500 ? 'url_invalid' : 'internal_error'
    const { req, res } = request.raw
    const requestId = gate.requestId(req.headers['x-request-id'])
    if (code === 'internal_error') gate.log.error({ err: response, requestId }, 'a request failed in Hapi')
    const trace = gate.telemetry?.begin(req.headers)
    const answer = problemAnswer(code)
    write(res, answer, requestId, gate.isStopping(), trace)
    if (trace !== undefined) endTrace(trace, `${req.method} no route`, answer, gate.log)
    return h.abandon
  })
}
