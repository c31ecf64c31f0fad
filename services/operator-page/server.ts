import {
  server as createHapi,
  type Lifecycle,
  type Request,
  type ResponseObject,
  type ResponseToolkit,
  type Server,
} from '@hapi/hapi'
import type { Logger } from 'pino'
import Type from 'typebox'
import { checked } from '#mesh/checked.ts'
import { RpcError } from '#mesh/rpc.ts'
import type { Actions } from './actions.ts'
import type { Collector } from './collector.ts'
import { readPage } from './page.ts'
import type { Admin, Sessions } from './sessions.ts'
import type { FindWay } from './way/way.ts'

export interface ServerParts {
  readonly host: string
  readonly port: number
  readonly origin: string | undefined
  readonly sessions: Sessions
  readonly collector: Collector
  readonly actions: Actions
  readonly findWay: FindWay
  readonly log: Logger
}

const BODY_BYTES_MAX = 4_096

/** Nothing but what is served here; nobody may show the page inside another one. */
const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  // With `no-referrer` a browser would not say where a form comes from.
  'referrer-policy': 'same-origin',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
} as const

/** What a refused login says; anything else is auth being away. */
const LOGIN_REFUSALS: Readonly<Record<string, readonly [status: number, words: string]>> = {
  admins_only: [403, 'This page is for admins, and this account is not one.'],
  credentials_invalid: [401, 'The e-mail address or the password is wrong.'],
  login_rate_limited: [429, 'Too many attempts: wait a while, and try again.'],
  request_invalid: [400, 'Enter an e-mail address and a password.'],
  member_blocked: [403, 'This account is blocked.'],
  member_closed: [403, 'This account is closed.'],
  member_denied: [403, 'This account may not log in.'],
}
const LOGIN_AWAY = [503, 'The login cannot be checked right now: auth does not answer. Try again in a moment.'] as const

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  login_required: 401,
  origin_refused: 403,
  request_invalid: 400,
  order_not_found: 404,
  slot_not_found: 404,
  snapshot_nothing_new: 409,
  too_many_lookups: 429,
  no_channel: 409,
}

type AsAdmin = (request: Request, h: ResponseToolkit, admin: Admin) => Promise<Lifecycle.ReturnValue>

const parseLogin = checked(
  Type.Object({
    email: Type.String({ minLength: 1, maxLength: 254 }),
    password: Type.String({ minLength: 1, maxLength: 200 }),
  }),
)
const parseSlot = checked(
  Type.Object({ service: Type.String({ maxLength: 32 }), slot: Type.Integer({ minimum: 0, maximum: 255 }) }),
)
const parseOrder = checked(
  Type.Object({
    order: Type.String({ pattern: '^[1-9][0-9]{0,15}$' }),
    member: Type.Optional(Type.String({ pattern: '^[1-9][0-9]{0,15}$' })),
  }),
)

/** The HTTP server, not started yet. */
export async function createOperatorServer(parts: ServerParts): Promise<Server> {
  const { host, port, origin, sessions, collector, actions, findWay, log } = parts
  const server = createHapi({
    host,
    port,
    debug: false,
    routes: { payload: { maxBytes: BODY_BYTES_MAX }, state: { failAction: 'ignore' } },
  })
  // Cookies do not know ports: two meshes on one machine would log each other out.
  const cookie = `exchange-operator-${port}`
  server.state(cookie, {
    isHttpOnly: true,
    isSameSite: 'Strict',
    isSecure: origin?.startsWith('https:') ?? false,
    path: '/',
    encoding: 'none',
    ignoreErrors: true,
  })
  const page = await readPage()
  const keyOf = ({ state }: Request): string => (typeof state[cookie] === 'string' ? state[cookie] : '')

  const asAdmin =
    (handle: AsAdmin): Lifecycle.Method =>
    async (request, h) => {
      try {
        const admin = await sessions.admin(keyOf(request))
        if (admin === undefined) throw new RpcError('login_required', 'Log in first.')
        return await handle(request, h, admin)
      } catch (error) {
        return refusal(h, error, log)
      }
    }
  const loginPage = (h: ResponseToolkit, status = 200, words = ''): ResponseObject =>
    h.response(page.login(words)).type('text/html').code(status)

  server.route([
    {
      method: 'GET',
      path: '/',
      handler: async (request, h) => {
        // While nobody can tell whose it is, the page itself says so: there is nothing of the exchange in it.
        const isNobody = (await sessions.admin(keyOf(request)).catch(() => null)) === undefined
        return isNobody ? h.redirect('/login') : h.response(page.index).type('text/html')
      },
    },
    { method: 'GET', path: '/login', handler: (_, h) => loginPage(h) },
    {
      method: 'POST',
      path: '/login',
      handler: async (request, h) => {
        try {
          await sessions.end(keyOf(request))
          const key = await sessions.begin(parseLogin(request.payload), request.info.remoteAddress)
          return h.redirect('/').code(303).state(cookie, key)
        } catch (error) {
          const code = error instanceof RpcError ? error.code : 'internal_error'
          if (!(error instanceof RpcError)) log.error({ err: error }, 'a login failed')
          const [status, words] = LOGIN_REFUSALS[code] ?? LOGIN_AWAY
          return loginPage(h, status, words).unstate(cookie)
        }
      },
    },
    {
      method: 'POST',
      path: '/logout',
      handler: async (request, h) => {
        await sessions.end(keyOf(request))
        return h.redirect('/login').code(303).unstate(cookie)
      },
    },
    {
      method: 'GET',
      path: '/assets/{name}',
      handler: ({ params }, h) => {
        const asset = page.assets.get(String(params.name))
        if (asset === undefined) return refusal(h, new RpcError('route_unknown', 'There is no such file.'), log)
        return h.response(asset.content).type(asset.type).etag(asset.etag)
      },
    },
    {
      method: 'GET',
      path: '/api/state',
      handler: asAdmin(async (_, __, { email }) => ({ ...(await collector.state()), admin: email })),
    },
    {
      method: 'GET',
      path: '/api/orders/{order}',
      handler: asAdmin(async ({ params, query }) => {
        const { order, member } = parseOrder({ ...params, ...query })
        return await findWay(Number(order), member === undefined ? undefined : Number(member))
      }),
    },
    {
      method: 'POST',
      path: '/api/actions/test-alert',
      handler: asAdmin(async (_, __, { memberId }) => {
        log.info({ memberId }, 'an admin asks for a test alert')
        return await actions.testAlert()
      }),
    },
    {
      method: 'POST',
      path: '/api/actions/snapshot',
      handler: asAdmin(async ({ payload }, __, { memberId }) => {
        const place = parseSlot(payload)
        log.info({ memberId, ...place }, 'an admin asks for a snapshot')
        return await actions.snapshot(place.service, place.slot)
      }),
    },
  ])

  // Another page on this machine counts as the same site: its address says that it is another one.
  server.ext('onPreAuth', (request, h) => {
    if (request.method !== 'post' || isOwnOrigin(request, origin)) return h.continue
    return refusal(h, new RpcError('origin_refused', 'This request comes from another page.'), log).takeover()
  })
  server.ext('onPreResponse', (request, h) => {
    const { response } = request
    if (response instanceof Error) {
      const { statusCode } = response.output
      const code = statusCode === 404 ? 'route_unknown' : statusCode < 500 ? 'request_invalid' : 'internal_error'
      if (statusCode >= 500) log.error({ err: response }, 'a request failed')
      return secured(h.response({ code, message: response.message }).code(statusCode))
    }
    return secured(response)
  })
  return server
}

function secured(response: ResponseObject): ResponseObject {
  for (const [name, value] of Object.entries(HEADERS)) response.header(name, value)
  const isAsset = response.headers.etag !== undefined
  return response.header('cache-control', isAsset ? 'no-cache' : 'no-store')
}

function isOwnOrigin({ headers, info }: Request, origin: string | undefined): boolean {
  if (headers.origin === undefined) return false
  return headers.origin === (origin ?? `http://${info.host}`)
}

function refusal(h: ResponseToolkit, error: unknown, log: Logger): ResponseObject {
  if (!(error instanceof RpcError)) {
    log.error({ err: error }, 'a request failed')
    return h.response({ code: 'internal_error', message: 'The request failed inside the service.' }).code(500)
  }
  const { code, message } = error
  const status = code === 'route_unknown' ? 404 : (STATUS_OF_CODE[code] ?? 503)
  return h.response({ code, message }).code(status)
}
