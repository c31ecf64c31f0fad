import { Refused, request } from './api.js'
import { canKeep, keep, read } from './kept.js'

const KEY = 'session'
/** So long before its end an access token is renewed, at most; a short one at half its life. */
const LEAD_MS = 90_000
const RETRY_MS = 5_000

/**
 * @typedef {object} Kept what outlives the page
 * @property {string} memberId
 * @property {string} email
 * @property {string} refreshToken good for one use
 */

/**
 * Who is logged in. The access token lives in this object alone. The refresh token, good for one use, lies in localStorage, so
 * that a reload and other tabs go on with the session; a lock makes tabs use it in turn. Where the browser has no locks (plain
 * HTTP from another machine) nothing is kept.
 *
 * Events: `change` (someone else, or nobody), `renewed` (a new access token).
 */
export class Session extends EventTarget {
  /** @type {{ readonly memberId: string, readonly email: string } | undefined} */
  member
  /** @type {{ token: string, endsAtMs: number } | undefined} */
  #access
  /** @type {Promise<void> | undefined} */
  #renewal
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer
  /** @type {Kept | undefined} */
  #inMemory

  constructor() {
    super()
    addEventListener('storage', ({ key }) => {
      if (key === null || key === `exchange.${KEY}`) this.#otherTab()
    })
  }

  /**
   * @param {string} email
   * @param {string} password
   */
  async login(email, password) {
    this.#take(await request('POST', '/sessions', { body: { email, password } }), email)
  }

  /**
   * @param {string} email
   * @param {string} password
   */
  async register(email, password) {
    await request('POST', '/members', { body: { email, password } })
    await this.login(email, password)
  }

  /** Goes on with the session that a page before this one had. */
  async resume() {
    if (this.#kept() === undefined) return
    try {
      await this.#renew()
    } catch {
      // Refused: it is over and forgotten. Out of reach: it is tried again when a token is asked for.
      this.#renewSoon(RETRY_MS)
    }
  }

  async logout() {
    const token = await this.token().catch(() => undefined)
    this.#forget()
    // What was kept is gone either way; without an answer the session ends by itself.
    if (token !== undefined) await request('DELETE', '/sessions', { token }).catch(() => {})
  }

  /**
   * A token that is good for now.
   * @returns {Promise<string | undefined>} nobody is logged in
   * @throws {Refused}
   */
  async token() {
    if (this.member === undefined) return undefined
    if (this.#access === undefined || this.#access.endsAtMs <= Date.now()) await this.#renew()
    return this.#access?.token
  }

  /**
   * A request of the member. A token that is refused is renewed once.
   * @param {string} method
   * @param {string} path
   * @param {{ body?: object, query?: Readonly<Record<string, string>> }} [options]
   */
  async request(method, path, options = {}) {
    const token = await this.token()
    try {
      return await request(method, path, { ...options, token })
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 401 || this.member === undefined) throw error
      await this.renewAfter(token)
      return await request(method, path, { ...options, token: await this.token() })
    }
  }

  /**
   * This token was refused: another one, unless there is one already.
   * @param {string | undefined} refused
   */
  async renewAfter(refused) {
    if (this.#access?.token === refused) await this.#renew()
  }

  /** @returns {Promise<void>} */
  #renew() {
    this.#renewal ??= inTurn(async () => {
      const kept = this.#kept()
      if (kept === undefined) {
        this.#forget()
        return
      }
      try {
        this.#take(
          await request('POST', '/sessions/refresh', { body: { refreshToken: kept.refreshToken } }),
          kept.email,
        )
      } catch (error) {
        if (error instanceof Refused && (error.status === 401 || error.status === 403)) this.#forget()
        throw error
      }
    }).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  /**
   * @param {{ memberId: string, accessToken: string, refreshToken: string }} session
   * @param {string} email
   */
  #take({ memberId, accessToken, refreshToken }, email) {
    const lifeMs = lifeOf(accessToken)
    const leadMs = Math.min(LEAD_MS, lifeMs / 2)
    this.#access = { token: accessToken, endsAtMs: Date.now() + lifeMs - leadMs / 2 }
    this.#keep({ memberId, email, refreshToken })
    this.#renewSoon(lifeMs - leadMs)
    const isOther = this.member?.memberId !== memberId
    this.member = { memberId, email }
    this.dispatchEvent(new Event(isOther ? 'change' : 'renewed'))
  }

  #forget() {
    clearTimeout(this.#timer)
    this.#access = undefined
    this.#keep(undefined)
    if (this.member === undefined) return
    this.member = undefined
    this.dispatchEvent(new Event('change'))
  }

  /** @param {number} afterMs */
  #renewSoon(afterMs) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#renew().catch(() => {
        if (this.#kept() !== undefined) this.#renewSoon(RETRY_MS)
      })
    }, afterMs)
  }

  /** Another tab has logged in or out, or has renewed. */
  #otherTab() {
    const kept = this.#kept()
    if (kept?.memberId === this.member?.memberId) return
    if (this.member === undefined) void this.resume()
    // Nothing of one member is left on the page of another.
    else location.reload()
  }

  /** @returns {Kept | undefined} */
  #kept() {
    if (!canShare) return this.#inMemory
    try {
      return JSON.parse(read(KEY) ?? 'null') ?? undefined
    } catch {
      return undefined
    }
  }

  /** @param {Kept | undefined} kept */
  #keep(kept) {
    this.#inMemory = kept
    if (canShare) keep(KEY, kept === undefined ? undefined : JSON.stringify(kept))
  }
}

/** Tabs can only share a session that they use in turn. */
const canShare = navigator.locks !== undefined && canKeep()

/**
 * @template Result
 * @param {() => Promise<Result>} work
 * @returns {Promise<Result>}
 */
const inTurn = async (work) => (canShare ? await navigator.locks.request(KEY, work) : await work())

/**
 * How long a token lives, by its own two times: the clocks of browsers are wrong often enough.
 * @param {string} token
 */
function lifeOf(token) {
  const [, payload = ''] = token.split('.')
  const { exp, iat } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
  return (exp - iat) * 1_000
}
