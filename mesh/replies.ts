import { type Bus, timeOf } from './bus.ts'
import type { Reply } from './protocol/replies.ts'
import { RpcError } from './rpc.ts'
import { replySubject } from './subjects.ts'

/** Hands the results that come for this instance to whoever waits for them, by command id. */
export interface ReplyListener {
  /** The first reply to a command. Rejects with `RpcError` code `reply_timeout`. */
  expect(commandId: number, timeoutMs: number): Promise<Reply>
  /** Every reply to a command until `off` is called. */
  on(commandId: number, callback: (reply: Reply) => void): void
  off(commandId: number): void
}

/** Resolution of the timeouts, in milliseconds: one timer for all who wait. */
const SWEEP_MS = 100

/**
 * An entry forgets whom it served when it is over: a Map that grows and shrinks leaves its old tables behind, each of which holds the
 * next one with all that was in it, and once the first is old nothing of them is freed before the next collection of everything.
 */
interface Waiting {
  tell: (reply: Reply) => void
  expired: (() => void) | undefined
  readonly deadline: number
}

const nothing = (): void => {}

export function createReplyListener(nats: Bus, instanceId: string): ReplyListener {
  const time = timeOf(nats)
  const waiting = new Map<number, Waiting>()
  const forget = (commandId: number): void => {
    const entry = waiting.get(commandId)
    if (entry === undefined) return
    waiting.delete(commandId)
    entry.tell = nothing
    entry.expired = undefined
  }
  nats.subscribe(replySubject(instanceId), {
    callback: (error, message) => {
      if (error) return
      let hops: string | undefined
      for (const reply of message.json<(Reply & { hops?: string })[]>()) {
        // Said where it changes.
        if (reply.hops !== undefined) hops = reply.hops
        else if (hops !== undefined) reply.hops = hops
        waiting.get(reply.commandId)?.tell(reply)
      }
    },
  })
  time.every(SWEEP_MS, () => {
    const now = time.nowMs()
    for (const [commandId, { deadline, expired }] of waiting) {
      if (deadline > now) continue
      forget(commandId)
      expired?.()
    }
  })

  return {
    expect: (commandId, timeoutMs) =>
      new Promise((resolve, reject) => {
        waiting.set(commandId, {
          deadline: time.nowMs() + timeoutMs,
          tell: (reply) => {
            forget(commandId)
            resolve(reply)
          },
          expired: () => reject(new RpcError('reply_timeout', `No result within ${timeoutMs} ms.`)),
        })
      }),
    on: (commandId, callback) =>
      void waiting.set(commandId, { deadline: Number.POSITIVE_INFINITY, tell: callback, expired: undefined }),
    off: forget,
  }
}
