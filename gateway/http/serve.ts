import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Lifecycle, Request, ResponseToolkit } from '@hapi/hapi'
import type { Logger } from 'pino'
import Type, { type TObject } from 'typebox'
import { accountSlotOf } from '#mesh/slots.ts'
import type { Telemetry } from '#mesh/telemetry/telemetry.ts'
import type { TokenVerifier } from '#mesh/tokens.ts'
import type { Code } from '../codes.ts'
import type { Limits } from '../limits/limits.ts'
import { type Identity, identityOf, NOBODY } from '../members/identity.ts'
import { Problem, problemAnswer, problemOf } from '../problem.ts'
import { type Checker, checkerOf, nestingOf } from '../schemas/check.ts'
import { isId } from '../schemas/common.ts'
import { addressOf } from './address.ts'
import type { Admission } from './admission.ts'
import { BodyAborted, readBody } from './body.ts'
import { type Access, type Answer, BODY_BYTES_MAX, type Endpoint } from './endpoint.ts'
import { countAnswers } from './metrics.ts'
import { endTrace, type RequestTrace, sampleFor, within, withTraceId } from './tracing.ts'

/** What every endpoint passes through. */
export interface Gate {
  readonly admission: Admission
  readonly verifier: TokenVerifier
  readonly limits: Limits
  readonly accountSlots: number
  readonly requestId: (sent: string | string[] | undefined) => string
  /** Whether connections are being ended, because the gateway stops. */
  readonly isStopping: () => boolean
  readonly log: Logger
  /** Where tracing is on. */
  readonly telemetry: Telemetry | undefined
}

/**
 * An endpoint as a handler of Hapi. The body is taken as it comes and the answer is written to the connection at once
 * (`h.abandon` tells Hapi so): reading and marshalling would cost half of Hapi's time per request, see the README.
 * In this order: room, token, rate, shape of the query, body, shape of the body, and only then the endpoint.
 */
export function serve(endpoint: Endpoint, gate: Gate): Lifecycle.Method {
  const bodyChecker = endpoint.body === undefined ? undefined : checkerOf(endpoint.body)
  const queryChecker = checkerOf(endpoint.query ?? NO_QUERY)

  const answerOf = async (request: Request, requestId: string, trace: RequestTrace): Promise<Answer> => {
    const { req } = request.raw
    const { headers } = req
    const address = endpoint.access === 'public' ? addressOf(req) : ''
    let identity = NOBODY
    let memberId = 0
    let slot = 0
    if (endpoint.access !== 'public') {
      const found = identify(gate, headers.authorization, endpoint.access)
      if (typeof found === 'string') return problemAnswer(found)
      identity = found
      if (trace !== undefined) sampleFor(trace, identity, headers)
      memberId = found.memberId
      slot = found.slot
      const named = headers['x-member-id']
      if (named !== undefined) {
        memberId = memberActedFor(gate, found, named)
        slot = accountSlotOf(memberId, gate.accountSlots)
      }
    }
    const waitSeconds = gate.limits.take(endpoint.kind, memberId, address)
    if (waitSeconds > 0) return problemAnswer('rate_limited', { retryAfterSeconds: waitSeconds })

    const { query } = request
    if (!queryChecker.accepts(query)) throw queryChecker.problem(query)
    const body = bodyChecker === undefined ? undefined : parseBody(await readBody(req, endpoint.bytesMax), bodyChecker)
    const call = {
      requestId,
      identity,
      memberId,
      slot,
      params: request.params as Record<string, string>,
      query,
      body,
      address: endpoint.kind === 'login' && address === '' ? addressOf(req) : address,
      trace,
    }
    return within(gate, trace, endpoint, call)
  }

  /** Nothing where the client has gone. */
  const answerOrRefusal = async (
    request: Request,
    requestId: string,
    trace: RequestTrace,
  ): Promise<Answer | undefined> => {
    try {
      return await answerOf(request, requestId, trace)
    } catch (error) {
      return error instanceof BodyAborted ? undefined : answerToError(gate, error, requestId, trace)
    }
  }

  const count = countAnswers(endpoint.method, endpoint.path)
  const name = `${endpoint.method} ${endpoint.path}`
  return async (request: Request, h: ResponseToolkit) => {
    const { req, res } = request.raw
    const requestId = gate.requestId(req.headers['x-request-id'])
    const trace = gate.telemetry?.begin(req.headers)
    const refused = gate.admission.enter(endpoint.kind)
    if (refused !== undefined) {
      // A small body is thrown away; for a large one the connection ends, which costs the client more than us.
      const answer = problemAnswer(refused, { retryAfterSeconds: 1 })
      write(res, answer, requestId, gate.isStopping() || !hasSmallBody(req), trace)
      count(answer, 0)
      return h.abandon
    }
    const beganAtMs = performance.now()
    try {
      const answer = await answerOrRefusal(request, requestId, trace)
      if (answer === undefined) res.destroy()
      else {
        write(res, answer, requestId, gate.isStopping(), trace)
        count(answer, performance.now() - beganAtMs)
        if (trace !== undefined) endTrace(trace, name, answer, gate.log)
      }
    } finally {
      gate.admission.leave()
    }
    return h.abandon
  }
}

/** Whether what is left unread of a request is not worth the connection. */
function hasSmallBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) <= BODY_BYTES_MAX
}
const BEARER = 'Bearer '
const NO_QUERY = Type.Object({}, { additionalProperties: false })

const identities = new WeakMap<object, Identity>()

/** Who the token proves, if he may do this. The verifier gives the same claims for the same token, so they are the key. */
function identify(gate: Gate, authorization: string | undefined, access: Access): Identity | Code {
  if (authorization === undefined || !authorization.startsWith(BEARER)) return 'token_missing'
  return identifyToken(gate, authorization.slice(BEARER.length), access)
}

export function identifyToken(gate: Gate, token: string, access: Access): Identity | Code {
  const claims = gate.verifier.verify(token)
  if ('code' in claims) return claims.code
  let identity = identities.get(claims)
  if (identity === undefined) {
    identity = identityOf(claims, accountSlotOf(claims.memberId, gate.accountSlots))
    identities.set(claims, identity)
  }
  switch (access) {
    case 'read':
      return identity.mayRead ? identity : 'scope_missing'
    case 'trade':
      return identity.mayTrade ? identity : 'scope_missing'
    case 'account':
      return identity.mayAccount ? identity : 'scope_missing'
    case 'admin':
      return identity.isAdmin ? identity : 'admin_required'
    case 'public':
      return identity
  }
}

/** The member whom a broker's token names with `X-Member-Id`. */
export function memberActedFor(gate: Gate, identity: Identity, named: string | string[]): number {
  const memberId = typeof named === 'string' && /^[1-9][0-9]{0,15}$/.test(named) && isId(named) ? Number(named) : 0
  if (memberId === identity.memberId) return memberId
  if (!identity.members?.has(memberId)) throw new Problem('member_not_listed', { field: 'X-Member-Id' })
  const denial = gate.verifier.denialOf(memberId)
  if (denial !== undefined) throw new Problem(denial, { field: 'X-Member-Id' })
  return memberId
}

/** No body here has more than an array in an object. */
const NESTING_MAX = 8

/** @throws Problem */
function parseBody(text: string, checker: Checker<TObject>): unknown {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Problem(nestingOf(text) > NESTING_MAX ? 'body_too_deep' : 'json_invalid')
  }
  if (checker.accepts(value)) return value
  // Only what was not accepted can be deep.
  throw nestingOf(text) > NESTING_MAX ? new Problem('body_too_deep') : checker.problem(value)
}

/** The answer to what an endpoint threw: a refusal, or a fault of ours, which is logged. */
function answerToError(gate: Gate, error: unknown, requestId: string, trace: RequestTrace): Answer {
  const problem = problemOf(error)
  if (problem.code === 'internal_error') {
    gate.log.error({ err: error, requestId, traceId: trace?.traceId, orderId: trace?.orderId }, 'a request failed')
  }
  return problemAnswer(problem.code, problem.details)
}

/** Writes the whole answer in one go. `last`: the connection ends with it. */
export function write(
  res: ServerResponse,
  answer: Answer,
  requestId: string,
  last: boolean,
  trace?: RequestTrace,
): void {
  const { status } = answer
  const json = trace === undefined ? answer.json : withTraceId(answer, trace)
  const headers = [
    'content-type',
    'application/json; charset=utf-8',
    'content-length',
    String(Buffer.byteLength(json)),
    'cache-control',
    'no-store',
    'x-request-id',
    requestId,
  ]
  if (trace !== undefined) headers.push('trace-id', trace.traceId)
  if (answer.headers !== undefined) headers.push(...answer.headers)
  if (status === 401) headers.push('www-authenticate', 'Bearer')
  if (last) headers.push('connection', 'close')
  res.writeHead(status, headers)
  res.end(json)
}
