/** @import { Message } from './types.ts' */
/** @import { Session } from './session.js' */

/** @typedef {(message: Message) => void} Handler */

const PRIVATE = new Set(['orders', 'fills', 'balances'])
const WAIT_MS_MIN = 250
const WAIT_MS_MAX = 8_000
const LOOK_MS = 1_000
/** After a login that was refused. */
const LOGIN_AGAIN_MS = 2_000
/** How long the first message may take. */
const WELCOME_MS_MAX = 10_000

const kindOf = (/** @type {string} */ channel) => (PRIVATE.has(channel) ? 'private' : (channel.split(':')[0] ?? ''))

/**
 * The WebSocket: connects, and connects again whenever it is lost. Public channels begin anew, private ones go on after the last
 * message that was seen. What comes on a channel goes to its handler.
 *
 * Event: `status`.
 */
export class Stream extends EventTarget {
  /** @type {'connecting' | 'online' | 'offline'} */
  status = 'connecting'
  #session
  /** @type {WebSocket | undefined} */
  #socket
  /** @type {Map<string, Handler>} */
  #handlers = new Map()
  /** @type {Map<string, string>} of private channels, after the last message */
  #positions = new Map()
  /** @type {Map<string, (answer: Message) => void>} */
  #asked = new Map()
  /** Channels to subscribe to and to leave when this turn is over: a message for all of a kind. @type {Set<string>} */
  #wanted = new Set()
  /** @type {Set<string>} */
  #unwanted = new Set()
  #isSending = false
  #ids = 0
  #tries = 0
  #isWelcome = false
  #isLoggedIn = false
  #heardAtMs = 0
  #silenceMsMax = WELCOME_MS_MAX
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer

  /** @param {Session} session */
  constructor(session) {
    super()
    this.#session = session
    session.addEventListener('change', () => {
      this.#positions.clear()
      // A connection is one member's.
      if (this.#isLoggedIn) this.#connect()
      else this.#login()
    })
    session.addEventListener('renewed', () => this.#login())
    addEventListener('online', () => this.#connect())
    addEventListener('offline', () => this.#lost(WAIT_MS_MAX))
    setInterval(() => {
      if (this.#socket !== undefined && performance.now() - this.#heardAtMs > this.#silenceMsMax) this.#lost(0)
    }, LOOK_MS)
  }

  start() {
    this.#connect()
  }

  /**
   * @param {string} channel
   * @param {Handler} handler
   */
  follow(channel, handler) {
    this.#handlers.set(channel, handler)
    this.#subscribe(channel)
  }

  /** @param {string} channel */
  leave(channel) {
    if (!this.#handlers.delete(channel) || !this.#isWelcome) return
    this.#unwanted.add(channel)
    this.#sendSoon()
  }

  /**
   * From the beginning: a message was lost.
   * @param {string} channel
   */
  restart(channel) {
    if (!this.#isWelcome) return
    this.#unwanted.add(channel)
    this.#subscribe(channel)
  }

  #connect() {
    clearTimeout(this.#timer)
    this.#drop()
    if (this.status === 'online') this.#tell('connecting')
    this.#heardAtMs = performance.now()
    this.#silenceMsMax = WELCOME_MS_MAX
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/api/v3/stream`)
    this.#socket = socket
    socket.onmessage = ({ data }) => {
      this.#heardAtMs = performance.now()
      this.#take(JSON.parse(data))
    }
    socket.onclose = () => this.#lost()
  }

  #drop() {
    const socket = this.#socket
    this.#socket = undefined
    this.#isWelcome = false
    this.#isLoggedIn = false
    this.#asked.clear()
    this.#wanted.clear()
    this.#unwanted.clear()
    if (socket === undefined) return
    socket.onmessage = null
    socket.onclose = null
    socket.close()
  }

  /** @param {number} [waitMs] */
  #lost(waitMs) {
    this.#drop()
    this.#tell('offline')
    const longestMs = Math.min(WAIT_MS_MAX, WAIT_MS_MIN * 2 ** this.#tries)
    this.#tries += 1
    clearTimeout(this.#timer)
    // Not all at once after a stop of the exchange.
    this.#timer = setTimeout(() => this.#connect(), waitMs ?? longestMs * (0.5 + Math.random() / 2))
  }

  /** @param {Stream['status']} status */
  #tell(status) {
    if (this.status === status) return
    this.status = status
    this.dispatchEvent(new Event('status'))
  }

  /** @param {Message} message */
  #take(message) {
    switch (message.type) {
      case 'welcome':
        this.#welcome(message.heartbeatSeconds)
        return
      case 'result':
      case 'error': {
        const answer = this.#asked.get(message.id ?? '')
        this.#asked.delete(message.id ?? '')
        answer?.(message)
        return
      }
      case 'server_shutdown':
        this.#tries = 0
        this.#lost()
        return
      case 'closing':
        if (message.code === 'slow_consumer' || message.code === 'heartbeat_missed') this.#tries = 0
        return
      default: {
        const { channel, position } = message
        if (channel === undefined) return
        if (position !== undefined) this.#positions.set(channel, position)
        this.#handlers.get(channel)?.(message)
      }
    }
  }

  /** @param {number} heartbeatSeconds */
  #welcome(heartbeatSeconds) {
    this.#isWelcome = true
    this.#silenceMsMax = heartbeatSeconds * 2_000 + 3_000
    this.#tries = 0
    this.#tell('online')
    for (const channel of this.#handlers.keys()) if (!PRIVATE.has(channel)) this.#subscribe(channel)
    this.#login()
  }

  async #login() {
    const socket = this.#socket
    if (!this.#isWelcome || this.#session.member === undefined) return
    /** @type {string | undefined} */
    let token
    try {
      token = await this.#session.token()
    } catch {
      // The session says what is the matter; when there is a token again, it is tried again.
      return
    }
    if (socket !== this.#socket || token === undefined) return
    this.#ask({ op: 'login', token }, (answer) => {
      if (answer.type === 'error') {
        setTimeout(() => {
          if (answer.status === 401) this.#session.renewAfter(token).catch(() => {})
          else if (socket === this.#socket) this.#login()
        }, LOGIN_AGAIN_MS)
        return
      }
      const isFirst = !this.#isLoggedIn
      this.#isLoggedIn = true
      if (isFirst) for (const channel of this.#handlers.keys()) if (PRIVATE.has(channel)) this.#subscribe(channel)
    })
  }

  /** @param {string} channel */
  #subscribe(channel) {
    if (PRIVATE.has(channel) ? !this.#isLoggedIn : !this.#isWelcome) return
    this.#wanted.add(channel)
    this.#sendSoon()
  }

  #sendSoon() {
    if (this.#isSending) return
    this.#isSending = true
    queueMicrotask(() => {
      this.#isSending = false
      const left = [...this.#unwanted]
      const wanted = [...this.#wanted].filter((channel) => this.#handlers.has(channel))
      this.#unwanted.clear()
      this.#wanted.clear()
      if (!this.#isWelcome) return
      if (left.length > 0) this.#send({ op: 'unsubscribe', channels: left })
      // What one kind cannot have, another may.
      for (const channels of Object.values(Object.groupBy(wanted, kindOf))) this.#askFor(channels ?? [])
    })
  }

  /** @param {string[]} channels of one kind */
  #askFor(channels) {
    const positions = Object.fromEntries(
      channels.flatMap((channel) => {
        const position = this.#positions.get(channel)
        return position === undefined ? [] : [[channel, position]]
      }),
    )
    const after = Object.keys(positions).length === 0 ? {} : { positions }
    this.#ask({ op: 'subscribe', channels, ...after }, ({ type, error }) => {
      if (type !== 'error') return
      // All of them or none: one may be of a market that is gone.
      if (channels.length > 1) for (const channel of channels) this.#askFor([channel])
      else console.warn(`No channel ${channels[0]}: ${error.code}`)
    })
  }

  /**
   * @param {object} message
   * @param {(answer: Message) => void} answer
   */
  #ask(message, answer) {
    this.#ids += 1
    const id = String(this.#ids)
    this.#asked.set(id, answer)
    this.#send({ ...message, id })
  }

  /** @param {object} message */
  #send(message) {
    this.#socket?.send(JSON.stringify(message))
  }
}
