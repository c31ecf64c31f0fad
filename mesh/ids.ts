import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { BLOCK_COUNT_MAX, type Block } from './protocol/guid.ts'
import { callRpc, RpcError } from './rpc.ts'
import { Rpc } from './subjects.ts'

/** Ids that no other process has: below 2^53, in the order of time to about a second. */
export interface Ids {
  /** A number at once while a block is at hand, which it is as long as ids are asked for more often than every 250 ms. */
  next(): number | Promise<number>
  nextMany(count: number): Promise<number[]>
}

/** A block that is older than this is dropped, so that ids stay in the order of time. */
const BLOCK_MS_MAX = 500
const BLOCK_COUNT_MIN = 64
/** A request that a dying instance took with it is lost: the wait for an answer is short. */
const FETCH_MS_MAX = 500
const RETRY_MS = 50
/** How long an id is waited for, in milliseconds. */
const WAIT_MS_MAX = 5_000

interface Held {
  next: number
  readonly end: number
  /** From here on the next block is fetched. */
  readonly low: number
  readonly fetchedAtMs: number
}
const NOTHING: Held = { next: 0, end: 0, low: 0, fetchedAtMs: 0 }

/** Fetches blocks ahead, sized by the demand. A wait ends after 5 s with RpcError `ids_unavailable`. */
export function createIds(nats: NatsConnection): Ids {
  let held = NOTHING
  let spare: Held | undefined
  let fetching: Promise<void> | undefined
  let usedCount = 0
  let sizedAtMs = performance.now()

  const blockCount = (nowMs: number): number => {
    const perMs = usedCount / Math.max(1, nowMs - sizedAtMs)
    usedCount = 0
    sizedAtMs = nowMs
    return Math.min(BLOCK_COUNT_MAX, Math.max(BLOCK_COUNT_MIN, Math.ceil(perMs * BLOCK_MS_MAX)))
  }
  const fetch = async (count: number): Promise<void> => {
    const fetchedAtMs = performance.now()
    const block = await callRpc<Block>(nats, Rpc.guidBlock, { count }, FETCH_MS_MAX)
    const end = block.first + block.count
    spare = { next: block.first, end, low: end - block.count / 2, fetchedAtMs }
  }
  /** One request is under way at a time. */
  const fetchAhead = (nowMs: number): Promise<void> => {
    fetching ??= fetch(blockCount(nowMs)).finally(() => {
      fetching = undefined
    })
    return fetching
  }
  /** Whether `held` has an id. */
  const hold = (nowMs: number): boolean => {
    if (held.next < held.end && nowMs - held.fetchedAtMs <= BLOCK_MS_MAX) return true
    if (spare === undefined) return false
    held = spare
    spare = undefined
    return held.next < held.end && nowMs - held.fetchedAtMs <= BLOCK_MS_MAX
  }
  const wait = async (): Promise<void> => {
    const deadlineMs = performance.now() + WAIT_MS_MAX
    for (;;) {
      const nowMs = performance.now()
      if (hold(nowMs)) return
      try {
        await fetchAhead(nowMs)
      } catch (error) {
        if (nowMs > deadlineMs)
          throw new RpcError('ids_unavailable', `No ids within ${WAIT_MS_MAX} ms: ${String(error)}`)
        await sleep(RETRY_MS)
      }
    }
  }
  const take = (nowMs: number): number => {
    const id = held.next++
    usedCount += 1
    const runsLow = held.next >= held.low || nowMs - held.fetchedAtMs > BLOCK_MS_MAX / 2
    if (runsLow && spare === undefined && fetching === undefined) fetchAhead(nowMs).catch(() => {})
    return id
  }
  const nextLater = async (): Promise<number> => {
    for (;;) {
      await wait()
      // Others who waited for the same block may have used it up.
      const nowMs = performance.now()
      if (hold(nowMs)) return take(nowMs)
    }
  }

  return {
    next: () => {
      const nowMs = performance.now()
      return hold(nowMs) ? take(nowMs) : nextLater()
    },
    async nextMany(count) {
      const ids: number[] = []
      while (ids.length < count) {
        await wait()
        const first = held.next
        const taken = Math.min(count - ids.length, held.end - first)
        held.next = first + taken
        usedCount += taken
        for (let index = 0; index < taken; index++) ids.push(first + index)
      }
      return ids
    },
  }
}
