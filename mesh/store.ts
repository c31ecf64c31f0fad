import { createInbox, headers } from '@nats-io/transport-node'
import { type Bus, type BusMessage, timeOf } from './bus.ts'
import { TRACES_HEADER } from './telemetry/beside.ts'

/** Appends messages to streams. One subscription takes all acks; one timer finds those that stay away. */
export interface Store {
  /**
   * Resolves with the sequence at which the message was stored.
   * `expectedLast`: only if this is the subject's last sequence (0: none yet). `traces`: what travels beside the items.
   * @throws StoreRefused when the stream said no: nothing was stored.
   * @throws StoreUnknown when no ack came in time: it may be stored all the same, even later.
   */
  append(subject: string, payload: string, expectedLast?: number, traces?: string): Promise<number>
}

export class StoreRefused extends Error {
  override readonly name = 'StoreRefused'
  /** JetStream's error code; 10071 is a failed compare-and-set. */
  readonly code: number

  constructor(code: number, message: string) {
    super(message)
    this.code = code
  }
}

export class StoreUnknown extends Error {
  override readonly name = 'StoreUnknown'
}

interface Ack {
  readonly seq: number
  readonly error?: { readonly err_code: number; readonly description: string }
}

/** It forgets whom it served when it is over, for the reason that stands in replies.ts. */
interface Waiting {
  readonly number: number
  readonly subject: string
  readonly deadlineMs: number
  resolve: (sequence: number) => void
  reject: (error: Error) => void
}

const nothing = (): void => {}

const SWEEP_MS = 100

/** `ackMsMax`: how long an ack is waited for, in milliseconds. */
export function createStore(nats: Bus, ackMsMax = 2_000): Store {
  const time = timeOf(nats)
  const inbox = `${createInbox(nats.inboxPrefix)}.`
  const waiting = new Map<string, Waiting>()
  let count = 0

  const settle = (token: string, how: (entry: Waiting) => void): void => {
    const entry = waiting.get(token)
    if (entry === undefined) return
    waiting.delete(token)
    how(entry)
    entry.resolve = nothing
    entry.reject = nothing
  }
  const take = (message: BusMessage): void => {
    settle(message.subject.slice(inbox.length), (entry) => {
      if (message.headers?.code === 503) {
        return entry.reject(new StoreRefused(503, `No stream takes ${entry.subject}.`))
      }
      const ack = message.json<Ack>()
      if (ack.error === undefined) entry.resolve(ack.seq)
      else entry.reject(new StoreRefused(ack.error.err_code, `${entry.subject}: ${ack.error.description}`))
    })
  }
  nats.subscribe(`${inbox}*`, {
    callback: (error, message) => {
      if (!error) take(message)
    },
  })
  // An ack that was on its way when the connection broke never comes. What is written meanwhile leaves when there is a new one.
  void (async () => {
    let lost = 0
    for await (const { type } of nats.status()) {
      if (type === 'disconnect') lost = count
      if (type !== 'reconnect') continue
      for (const [token, { number, subject }] of waiting) {
        if (number > lost) break
        settle(token, ({ reject }) =>
          reject(new StoreUnknown(`The connection broke before the ack for ${subject} came.`)),
        )
      }
    }
  })()
  // Entries are in the order of their deadlines.
  time.every(SWEEP_MS, () => {
    const now = time.nowMs()
    for (const [token, entry] of waiting) {
      if (entry.deadlineMs > now) break
      settle(token, () => entry.reject(new StoreUnknown(`No ack for ${entry.subject} within ${ackMsMax} ms.`)))
    }
  })

  return {
    append: (subject, payload, expectedLast, traces) =>
      new Promise((resolve, reject) => {
        const number = ++count
        const token = number.toString(36)
        waiting.set(token, { number, subject, deadlineMs: time.nowMs() + ackMsMax, resolve, reject })
        try {
          if (expectedLast === undefined && traces === undefined) {
            nats.publish(subject, payload, { reply: inbox + token })
          } else {
            const more = headers()
            if (expectedLast !== undefined) more.set('Nats-Expected-Last-Subject-Sequence', String(expectedLast))
            if (traces !== undefined) more.set(TRACES_HEADER, traces)
            nats.publish(subject, payload, { reply: inbox + token, headers: more })
          }
        } catch (error) {
          settle(token, () => reject(new StoreUnknown(`${subject} cannot be written: ${String(error)}`)))
        }
      }),
  }
}
