import {
  DiscardPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { EVENTS_STREAM, Log, STREAM_OF_LOG } from './subjects.ts'

export interface MeshShape {
  readonly accountSlots: number
  readonly marketSlots: number
  /** Copies of each stream and bucket; more than one needs a cluster. Default 1. */
  readonly replicas?: number
}

/** The streams of this NATS belong to a mesh of another shape, or are not what the mesh needs. */
export class StreamMismatch extends Error {
  override readonly name = 'StreamMismatch'
  readonly code = 'stream_mismatch'
}

/** The bus must carry a frame (1 MB) and its headers with room to spare. */
const PAYLOAD_BYTES_MIN = 8_000_000

/**
 * Makes the four streams where they are missing. Safe from several processes at once.
 * The number of slots is written into the streams at the first start; another number is refused.
 * @throws StreamMismatch
 */
export async function ensureStreams(nats: NatsConnection, shape: MeshShape): Promise<JetStreamManager> {
  const payloadMax = nats.info?.max_payload ?? 0
  if (payloadMax < PAYLOAD_BYTES_MIN) {
    throw new StreamMismatch(`nats-server's max_payload is ${payloadMax}; set it to 8MB.`)
  }
  const manager = await jetstreamManager(nats, { timeout: 10_000 })
  const { replicas = 1 } = shape
  for (const stream of meshStreams(shape)) await ensureStream(manager, stream, replicas)
  return manager
}

export interface MeshStream {
  readonly name: string
  readonly subjects: string[]
  /** What it remembers from the first start. */
  readonly metadata: Record<string, string>
}

/** The streams of a mesh of this shape. */
export function meshStreams(shape: MeshShape): MeshStream[] {
  const slotsOf: Record<Log, number> = { accounts: shape.accountSlots, markets: shape.marketSlots, definitions: 1 }
  const logs = Object.values(Log).map((log) => ({
    name: STREAM_OF_LOG[log],
    subjects: [`${log}.*.cmd`, `${log}.*.from.*`],
    metadata: { slots: String(slotsOf[log]) },
  }))
  return [...logs, { name: EVENTS_STREAM, subjects: ['events.>'], metadata: {} }]
}

async function ensureStream(
  manager: JetStreamManager,
  { name, subjects, metadata }: MeshStream,
  replicas: number,
): Promise<void> {
  const wanted = {
    name,
    subjects,
    storage: StorageType.File,
    retention: RetentionPolicy.Limits,
    discard: DiscardPolicy.New,
    max_msgs: -1,
    max_bytes: -1,
    max_age: 0,
    max_msg_size: -1,
    num_replicas: replicas,
    allow_direct: false,
    metadata,
  }
  const config = (await currentConfig(manager, name)) ?? (await addedConfig(manager, wanted))
  for (const [key, value] of Object.entries(metadata)) {
    const found = config.metadata?.[key]
    if (found !== value) {
      throw new StreamMismatch(
        `Stream ${name} was made for ${found} slots, the configuration says ${value}. The number of slots is fixed at the first start.`,
      )
    }
  }
  if (config.subjects?.join() !== subjects.join() || config.storage !== StorageType.File) {
    throw new StreamMismatch(`Stream ${name} has other subjects or storage than the mesh needs.`)
  }
  if (config.max_bytes > 0 || config.max_msgs > 0 || config.max_age > 0) {
    throw new StreamMismatch(`Stream ${name} has a limit that would discard messages.`)
  }
  await raiseReplicas(manager, config, replicas)
}

/** A stream that has fewer copies than are wanted gets more: the mesh has moved to a cluster. It never gets fewer. */
export async function raiseReplicas(
  manager: JetStreamManager,
  { name, num_replicas: found }: Pick<StreamConfig, 'name' | 'num_replicas'>,
  replicas: number,
): Promise<void> {
  if (found < replicas) await manager.streams.update(name, { num_replicas: replicas })
}

async function currentConfig(manager: JetStreamManager, name: string): Promise<StreamConfig | undefined> {
  try {
    return (await manager.streams.info(name)).config
  } catch (error) {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return undefined
    throw error
  }
}

async function addedConfig(
  manager: JetStreamManager,
  wanted: Parameters<JetStreamManager['streams']['add']>[0],
): Promise<StreamConfig> {
  try {
    return (await manager.streams.add(wanted)).config
  } catch (error) {
    // Another process was faster; what it made is checked like any other.
    const config = await currentConfig(manager, wanted.name)
    if (config === undefined) throw error
    return config
  }
}
