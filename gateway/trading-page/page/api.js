const PREFIX = '/api/v3'
const PATIENCE_MS = 15_000
const TRIES_MAX = 4
const PAUSE_MS = 400

/** A refusal with the exchange's stable code; `offline` where no answer came. */
export class Refused extends Error {
  /** @param {{ code: string, message: string, field?: string | undefined, status: number }} problem */
  constructor({ code, message, field, status }) {
    super(message)
    this.name = 'Refused'
    this.code = code
    this.field = field
    this.status = status
  }
}

/**
 * One request. Cookies never travel: the token is all that counts.
 * @param {string} method
 * @param {string} path below /api/v3
 * @param {{ body?: object, query?: Readonly<Record<string, string>>, token?: string | undefined }} [options]
 * @returns {Promise<any>} the answer's JSON
 * @throws {Refused}
 */
export async function request(method, path, { body, query = {}, token } = {}) {
  const search = new URLSearchParams(query).toString()
  /** @type {Record<string, string>} */
  const headers = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (token !== undefined) headers.authorization = `Bearer ${token}`
  /** @type {Response} */
  let response
  /** @type {any} */
  let answer
  try {
    response = await fetch(`${PREFIX}${path}${search === '' ? '' : `?${search}`}`, {
      method,
      headers,
      credentials: 'omit',
      cache: 'no-store',
      signal: AbortSignal.timeout(PATIENCE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    answer = await response.json()
  } catch {
    // Traefik's own answers are no JSON: nobody was there to answer.
    throw new Refused({ code: 'offline', message: 'The exchange cannot be reached.', status: 0 })
  }
  if (response.ok) return answer
  const { code = 'internal_error', message = 'Something went wrong.', field } = answer
  throw new Refused({ code, message, field, status: response.status })
}

/**
 * Once more where that does no harm and may help: the answer was lost, or the exchange asks for it.
 * @template Result
 * @param {() => Promise<Result>} ask
 * @returns {Promise<Result>}
 */
export async function persistently(ask) {
  for (let tries = 1; ; tries++) {
    try {
      return await ask()
    } catch (error) {
      const isWorthIt = error instanceof Refused && AGAIN.has(error.code)
      if (!isWorthIt || tries === TRIES_MAX) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * tries))
    }
  }
}

const AGAIN = new Set([
  'offline',
  'outcome_unknown',
  'slot_unavailable',
  'projection_behind',
  'service_timeout',
  'service_unavailable',
  'gateway_busy',
])
