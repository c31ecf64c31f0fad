import { randomUUID } from 'node:crypto'
import type { Pool } from '#mesh/mysql.ts'
import type { Service } from '#mesh/service.ts'
import { hurrySubject, type Log } from '#mesh/subjects.ts'
import type { FrameBatch, ProjectionBatch } from './inbox.ts'
import { createLeases } from './leases.ts'
import { projectionCollector } from './metrics.ts'
import { createPositions, type Progress } from './positions.ts'
import { connectWriter, SlotWriter } from './slot.ts'
import type { FrameWriter, Lag, SlotLimits, WriterOptions } from './writer.ts'

interface SlotsOptions<Event, Batch extends FrameBatch<Event>> {
  readonly service: Service
  /** Keeps the leases. */
  readonly pool: Pool
  /** Its name in the table of positions. */
  readonly name: string
  /** The log whose slots' frames it reads, and how many slots that has. */
  readonly source: Log
  readonly slots: number
  readonly newBatch: (slot: number) => Batch
  readonly limits?: Partial<SlotLimits>
  /** Told at every start and after every transaction of a slot that this instance writes. */
  readonly onWritten?: (slot: number, progress: Progress) => void
  /** Told, again and again, while what is written of a slot is not what the log says. */
  readonly onForgotten?: (slot: number) => void
  /** Begins to write a slot. */
  readonly newWriter: (options: Omit<WriterOptions<Event, Batch>, 'openSink'>) => FrameWriter<Event, Batch>
}

/** A projection to MySQL. */
export interface ProjectionOptions<Event> extends Omit<SlotsOptions<Event, ProjectionBatch<Event>>, 'newWriter'> {
  readonly mysqlUrl: string
}

export interface Projection {
  /** Someone waits for this slot: whichever instance writes it is told. */
  hurry(slot: number): void
  /** By slot, of those that this instance writes. */
  lags(): Record<number, Lag>
}

const LIMITS: SlotLimits = { rowsMax: 5_000, spacingMs: 300, hurriedSpacingMs: 20 }

/** How often slots are taken, renewed and shared out anew, in milliseconds. */
const TICK_MS = 1_000

/** Rows and position in MySQL. */
export function runProjection<Event>(options: ProjectionOptions<Event>): Projection {
  const { mysqlUrl, pool } = options
  const connect = () => connectWriter(mysqlUrl)
  return runSlots({ ...options, newWriter: (writer) => new SlotWriter<Event>({ ...writer, connect, pool }) })
}

/**
 * Runs a projection in this process, beside any number of other instances. Each slot is written by one of them at a time;
 * the slots of a dead one are taken over within seconds. Rows and position are written in one transaction: exactly once.
 */
export function runSlots<Event, Batch extends FrameBatch<Event>>(options: SlotsOptions<Event, Batch>): Projection {
  const { service, pool, name, slots } = options
  const log = service.log.child({ projection: name })
  const limits = { ...LIMITS, ...options.limits }
  const writers = new Map<number, FrameWriter<Event, Batch>>()
  const letGo = async (slot: number): Promise<void> => {
    const writer = writers.get(slot)
    writers.delete(slot)
    await writer?.stop()
  }
  const leases = createLeases({ pool, projection: name, slots, owner: `${service.instanceId} ${randomUUID()}`, letGo })
  const projection: Projection = {
    hurry: (slot) => {
      const own = writers.get(slot)
      if (own === undefined) service.nats.publish(hurrySubject(name), String(slot))
      else own.hurry()
    },
    lags: () => Object.fromEntries([...writers].sort(([a], [b]) => a - b).map(([slot, w]) => [slot, w.lag()])),
  }

  const share = async (): Promise<void> => {
    const owned = await leases.tick()
    for (const slot of writers.keys()) if (!owned.has(slot)) await letGo(slot)
    for (const slot of owned) {
      if (writers.has(slot)) continue
      const { source, newBatch, newWriter, onWritten = () => {}, onForgotten = () => {} } = options
      const told = { onWritten, onForgotten }
      writers.set(
        slot,
        newWriter({ nats: service.nats, log, projection: name, source, slot, newBatch, limits, ...told }),
      )
    }
  }
  const loop = async (): Promise<void> => {
    let prepared = false
    while (!service.shutdown.aborted) {
      const beganAt = performance.now()
      try {
        if (!prepared) await createPositions(pool, name, slots)
        prepared = true
        await share()
        service.ready(`projection ${name}`, true, detail)
      } catch (error) {
        log.warn({ err: error }, 'the slots could not be shared out')
        service.ready(`projection ${name}`, false, detail)
      }
      await pause(beganAt + TICK_MS * (0.9 + 0.2 * Math.random()) - performance.now(), service.shutdown)
    }
  }
  // Read when health is asked, not when it is set.
  const detail = { toJSON: () => ({ slots: projection.lags() }) }

  const looping = loop()
  service.onScrape(projectionCollector(name, slots, projection.lags))
  service.nats.subscribe(hurrySubject(name), {
    callback: (error, message) => {
      if (!error) writers.get(Number(message.string()))?.hurry()
    },
  })
  recheckAtReconnect(service, () => {
    for (const writer of writers.values()) writer.recheck()
  })
  service.onStop(async () => {
    await looping
    await Promise.all([...writers.keys()].map(letGo))
    await leases.release().catch((error: unknown) => log.warn({ err: error }, 'the slots were not given back'))
  })
  return projection
}

/** After a reconnect the server may be one that has lost its last writes. */
function recheckAtReconnect(service: Service, recheck: () => void): void {
  void (async () => {
    for await (const status of service.nats.status()) {
      if (status.type === 'reconnect') recheck()
    }
  })()
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted || ms <= 0) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
