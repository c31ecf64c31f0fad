import assert from 'node:assert/strict'
import { streamsOf } from '#mesh/bus.ts'
import { type Frame, followFrames, parseFrameHeader } from '#mesh/frames.ts'
import { type Leases, openLeases } from '#mesh/machine/leases.ts'
import { type Served, serveRpc } from '#mesh/rpc.ts'
import type { Service } from '#mesh/service.ts'
import { EVENTS_STREAM, framesSubject, type Log, pusherReadSubject, pusherTakenSubject } from '#mesh/subjects.ts'
import { sleep, systemTime } from '#mesh/time.ts'

/** What a pusher makes of one slot's frames, in memory. */
export interface PushedSlot<Event> {
  /** The frames after this one are to be taken; 0: from the first. */
  readonly afterFrame: number
  /** The next frame. `tells`: this instance owns the slot, so what is new is told. */
  take(frame: Frame<Event>, frameSequence: number, tells: boolean): void | Promise<void>
  /** The log does not begin with its first frame any more, from which this was to go on. */
  onTrimmed?(): void
  /** For the gateways. @throws RpcError */
  answer(request: unknown): object | Promise<object>
  /** Owned until now, and stopping: others go on from here. */
  leave?(): Promise<void>
  /** Runs four times a second in the owner. */
  tick?(): void | Promise<void>
}

interface PusherOptions<Event> {
  readonly service: Service
  /** `push-market`, … */
  readonly name: string
  readonly source: Log
  readonly slots: number
  readonly replicas: number
  /** Begins anew, from whatever is remembered. */
  readonly open: (slot: number) => Promise<PushedSlot<Event>>
}

const TICK_MS = 250
const PAUSE_MS = 500
/** Frames behind the end at which an instance says that it could take the slot over. */
const BEHIND_MAX = 50

/** A frame is missing, or the log is not the one that was read. */
class FramesRefused extends Error {
  override readonly name = 'FramesRefused'
}

/**
 * Every instance follows all slots of the log, and one of them, by lease, tells what happens in a slot and answers for it. What a new
 * owner's predecessor did not tell any more nobody tells again: gateways are told that the slot was taken, and ask.
 */
export async function runPusher<Event>(options: PusherOptions<Event>): Promise<void> {
  const { service, name, slots } = options
  const leases = await openLeases({
    nats: service.nats,
    log: name,
    instanceId: service.instanceId,
    logger: service.log,
    replicas: options.replicas,
  })
  const all = Array.from({ length: slots }, (_, slot) => new SlotPusher<Event>(options, leases, slot))
  const told = new Set<number>()
  service.ready('slots', false)
  for (const one of all) {
    one.start(() => {
      told.add(one.slot)
      if (told.size === slots) service.ready('slots', true)
    })
  }
  // The server may have lost its last writes.
  void (async () => {
    for await (const { type } of service.nats.status()) {
      if (type === 'reconnect') for (const one of all) void one.compare()
    }
  })()
  const ticking = setInterval(() => {
    for (const one of all) void one.tick()
  }, TICK_MS)
  service.onStop(async () => {
    clearInterval(ticking)
    leases.leave()
    await Promise.all(all.map((one) => one.stop()))
    leases.stop()
  })
}

class SlotPusher<Event> {
  readonly slot: number
  readonly #options: PusherOptions<Event>
  readonly #leases: Leases
  readonly #stopping = new AbortController()
  #attempt = new AbortController()
  #pushed: PushedSlot<Event> | undefined
  #last = { sequence: 0, hash: 0 }
  #owns = false
  #served: Served | undefined
  #ticking = false
  #ends: Promise<unknown> = Promise.resolve()

  constructor(options: PusherOptions<Event>, leases: Leases, slot: number) {
    this.#options = options
    this.#leases = leases
    this.slot = slot
  }

  /** `onFollowing`: it has come to the end for the first time. */
  start(onFollowing: () => void): void {
    this.#ends = Promise.all([this.#follow(onFollowing), this.#own()])
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#attempt.abort()
    await this.#ends
  }

  async tick(): Promise<void> {
    if (!this.#owns || this.#ticking) return
    this.#ticking = true
    try {
      await this.#pushed?.tick?.()
    } catch (err) {
      this.#options.service.log.warn({ err, slot: this.slot }, 'what is due could not be done')
    } finally {
      this.#ticking = false
    }
  }

  /** Begins anew unless the log still is what was read. */
  async compare(): Promise<void> {
    const { sequence, hash } = this.#last
    if (sequence === 0) return
    const { nats } = this.#options.service
    try {
      const stored = await streamsOf(nats).at(EVENTS_STREAM, sequence)
      if (stored !== undefined && parseFrameHeader(stored.data).hash === hash) return
    } catch {
      // It cannot be told apart now, and beginning anew is harmless.
    }
    this.#attempt.abort()
  }

  async #follow(onFollowing: () => void): Promise<void> {
    const { log } = this.#options.service
    while (!this.#stopping.signal.aborted) {
      this.#attempt = new AbortController()
      try {
        await this.#followOnce(this.#attempt.signal, onFollowing)
      } catch (err) {
        log.warn({ err, slot: this.slot }, 'frames are read anew')
      }
      this.#leases.follows(this.slot, false)
      await sleep(systemTime, PAUSE_MS, this.#stopping.signal)
    }
  }

  async #followOnce(signal: AbortSignal, onFollowing: () => void): Promise<void> {
    const { service, source, open } = this.#options
    const end = (await streamsOf(service.nats).last(EVENTS_STREAM, framesSubject(source, this.slot)))?.seq ?? 0
    const pushed = await open(this.slot)
    this.#last = { sequence: pushed.afterFrame, hash: 0 }
    let isFollowing = false
    const follows = (): void => {
      isFollowing = true
      this.#pushed = pushed
      this.#leases.follows(this.slot, true)
      onFollowing()
      // What was told before may be another story.
      if (this.#owns) this.#tellTaken()
    }
    const reader = await followFrames<Event>(
      service.nats,
      source,
      this.slot,
      pushed.afterFrame,
      (frame, sequence, previous) => {
        if (signal.aborted) return undefined
        const { sequence: last } = this.#last
        if (last === 0 && previous !== undefined && previous > 0) {
          pushed.onTrimmed?.()
          throw new FramesRefused(`The frames before ${sequence} are gone.`)
        }
        if (last !== pushed.afterFrame && previous !== undefined && previous !== last) {
          throw new FramesRefused(`Frame ${sequence} follows frame ${previous}, but the last one here is ${last}.`)
        }
        const taken = pushed.take(frame, sequence, this.#owns && isFollowing)
        this.#last = { sequence, hash: frame.header.hash }
        if (!isFollowing && sequence >= end - BEHIND_MAX) {
          if (taken === undefined) follows()
          else return taken.then(follows)
        }
        return taken
      },
    )
    if (end <= pushed.afterFrame) follows()
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    try {
      await Promise.race([reader.done, signal.aborted ? undefined : aborted])
    } finally {
      void reader.stop()
    }
  }

  async #own(): Promise<void> {
    const { signal } = this.#stopping
    const stopped = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    while (!signal.aborted) {
      await Promise.race([this.#leases.acquire(this.slot), stopped])
      if (signal.aborted) break
      this.#begin()
      await Promise.race([this.#leases.untilGone(this.slot), stopped])
      await this.#end()
    }
    await this.#leases.release(this.slot)
  }

  #begin(): void {
    const { service, name } = this.#options
    const onFailure = (err: unknown): void => service.log.error({ err, slot: this.slot }, 'a read failed')
    this.#owns = true
    this.#served = serveRpc(
      service.nats,
      pusherReadSubject(name, this.slot),
      undefined,
      async (request) => {
        assert(this.#pushed !== undefined, 'the owner follows its slot')
        return this.#pushed.answer(request)
      },
      onFailure,
    )
    this.#tellTaken()
  }

  async #end(): Promise<void> {
    this.#owns = false
    await this.#served?.drain()
    this.#served = undefined
    await this.#pushed?.leave?.()
    await this.#leases.release(this.slot)
  }

  #tellTaken(): void {
    const { service, name } = this.#options
    service.nats.publish(pusherTakenSubject(name, this.slot), '')
  }
}
