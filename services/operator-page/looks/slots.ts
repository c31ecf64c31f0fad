import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import { followBucket } from '#mesh/buckets.ts'
import { streamsOf } from '#mesh/bus.ts'
import type { HaltedSlot } from '#mesh/machine/halts.ts'
import type { Presence } from '#mesh/presence.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { ALL_OWNERS, Bucket, LOG_OF_SERVICE, STREAM_OF_LOG, slotFilter, sourceName } from '#mesh/subjects.ts'
import type { Owned } from '../domain/instances.ts'
import { type Place, type Sign, type Slot, slotOf, slotPlaces } from '../domain/slots.ts'
import { kept } from './kept.ts'

/** Who runs which slot. It listens until it is stopped. */
export interface SlotsWatch {
  look(): Promise<(heard: readonly Presence[]) => Slot[]>
  /** Pushers and the archive share out slots as well. */
  owned(): Owned[]
  stop(): void
}

/** Owners tell that they live every 300 ms. */
const SIGN_MS_MAX = 1_500
const STORED_MS = 2_000
const ANSWER_MS_MAX = 1_000
const SERVICE_OF_LOG = new Map<string, string>([...LOG_OF_SERVICE].map(([service, log]) => [log, service]))

export function watchSlots(nats: NatsConnection, shape: MeshShape, log: Logger): SlotsWatch {
  const places = slotPlaces(shape)
  const streams = streamsOf(nats, ANSWER_MS_MAX)
  const signs = new Map<string, { readonly sign: Sign; readonly atMs: number }>()
  const hearing = nats.subscribe(ALL_OWNERS, {
    callback: (error, message) => {
      if (error !== null) return
      const key = message.subject.slice(ALL_OWNERS.length - 1)
      signs.set(key, { sign: message.json<Sign>(), atMs: performance.now() })
    },
  })
  const follow = (bucket: string) => followBucket({ nats, bucket, replicas: shape.replicas ?? 1, log })
  const leases = follow(Bucket.leases)
  const halts = follow(Bucket.slots)

  const lastStored = async (place: Place): Promise<number> =>
    (await streams.last(STREAM_OF_LOG[place.log], slotFilter(place.log, place.slot)))?.seq ?? 0
  const stored = kept('stored', STORED_MS, [], () => Promise.all(places.map(lastStored)), log)

  const signOf = (key: string): Sign | undefined => {
    const heard = signs.get(key)
    return heard !== undefined && performance.now() - heard.atMs < SIGN_MS_MAX ? heard.sign : undefined
  }
  const haltOf = (key: string): HaltedSlot | undefined => {
    const text = halts.entries.get(key)
    return text === undefined ? undefined : (JSON.parse(text) as HaltedSlot)
  }
  return {
    look: async () => {
      const sequences = await stored.value()
      return (heard) =>
        places.map((place, index) => {
          const key = `${place.log}.${place.slot}`
          const follows = ({ health }: Presence): boolean =>
            health.checks[`slot ${sourceName(place.log, place.slot)}`]?.detail === 'following'
          return slotOf(place, {
            sign: signOf(key),
            stored: sequences[index] ?? 0,
            followers: heard.filter(follows).map(({ instance }) => instance),
            halted: haltOf(key),
          })
        })
    },
    owned: () =>
      [...leases.entries].flatMap(([key, text]) => {
        const { instance, state } = JSON.parse(text) as { instance: string; state: string }
        const [log = '', slot] = key.split('.')
        return state === 'held' ? [{ instance, name: SERVICE_OF_LOG.get(log) ?? log, slot: Number(slot) }] : []
      }),
    stop: () => {
      hearing.unsubscribe()
      leases.close()
      halts.close()
    },
  }
}
