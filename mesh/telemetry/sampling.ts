import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import { followBucket } from '../buckets.ts'
import { type Bus, streamsOf } from '../bus.ts'
import { askPresence, type Presence } from '../presence.ts'
import { Bucket } from '../subjects.ts'
import type { Sampling, Telemetry } from './telemetry.ts'

const KEY = 'sampling'
/** How long the instances are given to hear of it. */
const HEARD_MS_MAX = 5_000
const RATIO = /^(?:0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)$/

/** `off`, or a number from 0 to 1 with up to six decimals; nothing where it is something else. */
export function parseSampling(text: string): Sampling | undefined {
  if (text === 'off') return 'off'
  return RATIO.test(text) ? Number(text) : undefined
}

/** What an operator says holds at once, and for processes that start later; until he takes it back, and then the configuration does. */
export function followSampling(nats: Bus, telemetry: Pick<Telemetry, 'sampling'>, log: Logger, replicas = 1): void {
  const configured = telemetry.sampling
  followBucket({
    nats,
    bucket: Bucket.tracing,
    replicas,
    log,
    changed: (key, value) => {
      if (key !== KEY) return
      telemetry.sampling = (value === undefined ? undefined : parseSampling(value)) ?? configured
      log.info({ sampling: telemetry.sampling }, 'tracing was switched')
    },
  })
}

/** Nothing: as each service is configured. */
export async function writeSampling(nats: Bus, sampling: Sampling | undefined): Promise<void> {
  const bucket = await streamsOf(nats).bucket(Bucket.tracing)
  if (sampling === undefined) await bucket.delete(KEY)
  else await bucket.put(KEY, String(sampling))
}

/** Writes it, and returns who is there when all that trace have heard of it, or after five seconds. `listenMs`: for each look. */
export async function switchSampling(
  nats: NatsConnection,
  sampling: Sampling | undefined,
  listenMs: number,
): Promise<Presence[]> {
  await writeSampling(nats, sampling)
  const untilMs = performance.now() + HEARD_MS_MAX
  for (;;) {
    const instances = await askPresence(nats, listenMs)
    const isWaiting = instances.some(
      ({ tracing }) => tracing !== null && sampling !== undefined && tracing !== sampling,
    )
    if (!isWaiting || performance.now() > untilMs) return instances
  }
}
