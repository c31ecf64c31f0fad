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

export function createReplyListener(nats: Bus, instanceId: string): ReplyListener {
  const time = timeOf(nats)
  const waiting = new Map<number, { tell: (reply: Reply) => void; expired?: () => void; deadline: number }>()
  nats.subscribe(replySubject(instanceId), {
    callback: (error, message) => {
      if (error) return
      for (const reply of message.json<Reply[]>()) waiting.get(reply.commandId)?.tell(reply)
    },
  })
  time.every(SWEEP_MS, () => {
    const now = time.nowMs()
    for (const [commandId, entry] of waiting) {
      if (entry.deadline > now || entry.expired === undefined) continue
      waiting.delete(commandId)
      entry.expired()
    }
  })

  return {
    expect: (commandId, timeoutMs) =>
      new Promise((resolve, reject) => {
        waiting.set(commandId, {
          deadline: time.nowMs() + timeoutMs,
          tell: (reply) => {
            waiting.delete(commandId)
            resolve(reply)
          },
          expired: () => reject(new RpcError('reply_timeout', `No result within ${timeoutMs} ms.`)),
        })
      }),
    on: (commandId, callback) => void waiting.set(commandId, { deadline: Number.POSITIVE_INFINITY, tell: callback }),
    off: (commandId) => void waiting.delete(commandId),
  }
}
