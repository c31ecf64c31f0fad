import { JetStreamApiError, type JetStreamManager, jetstream, type StreamInfo } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { type MeshStream, meshStreams } from '#mesh/streams.ts'
import { shapeOf } from '#services/audit/shape.ts'

const ANSWER_MS_MAX = 2_000

export interface MirrorState {
  readonly stream: string
  readonly messages: number
  /** Messages that the first site has and this one has not yet, as far as it knows. */
  readonly lag: number
  /** Since the first site was heard of, in milliseconds; -1: never. */
  readonly heardMs: number
}

/** Makes a mirror of each stream of the first site's mesh, where there is none yet. */
export async function makeMirrors(
  nats: NatsConnection,
  { firstDomain, replicas }: { readonly firstDomain: string; readonly replicas: number },
): Promise<void> {
  const first = await managerOf(nats, firstDomain)
  const second = await managerOf(nats)
  for (const { name, metadata } of meshStreams(await shapeOf(first))) {
    if ((await streamInfo(second, name)) !== undefined) continue
    await second.streams.add({
      name,
      mirror: { name, external: { api: `$JS.${firstDomain}.API`, deliver: '' } },
      metadata,
      num_replicas: replicas,
      discard: 'new',
      allow_direct: false,
      mirror_direct: false,
    } as Parameters<JetStreamManager['streams']['add']>[0])
  }
}

/** Nothing for a stream that is no mirror any more. */
export async function mirrorStates(nats: NatsConnection): Promise<MirrorState[]> {
  const manager = await managerOf(nats)
  const states: MirrorState[] = []
  for (const { name } of meshStreams(await shapeOf(manager))) {
    const info = await streamInfo(manager, name)
    if (info?.mirror === undefined) continue
    const { lag, active } = info.mirror
    states.push({
      stream: name,
      messages: info.state.messages,
      lag,
      heardMs: active < 0 ? -1 : Math.round(active / 1e6),
    })
  }
  return states
}

/** Whether the first site's bus can be reached from here. */
export async function firstSiteAnswers(nats: NatsConnection, firstDomain: string): Promise<boolean> {
  try {
    await (await managerOf(nats, firstDomain)).getAccountInfo()
    return true
  } catch {
    return false
  }
}

/** Makes the mirrors the streams of a mesh: from here on they take messages of their own. Harmless when it is done again. */
export async function detachMirrors(nats: NatsConnection): Promise<MeshStream[]> {
  const manager = await managerOf(nats)
  const streams = meshStreams(await shapeOf(manager))
  for (const { name, subjects } of streams) {
    const info = await streamInfo(manager, name)
    if (info?.config.mirror === undefined) continue
    // What is undefined is left out of the new settings: it is a mirror no more.
    const settings = { mirror: undefined, subjects } as unknown as Parameters<JetStreamManager['streams']['update']>[1]
    await manager.streams.update(name, settings)
  }
  return streams
}

const managerOf = (nats: NatsConnection, domain?: string): Promise<JetStreamManager> =>
  jetstream(nats, { timeout: ANSWER_MS_MAX, ...(domain === undefined ? {} : { domain }) }).jetstreamManager(false)

async function streamInfo(manager: JetStreamManager, name: string): Promise<StreamInfo | undefined> {
  try {
    return await manager.streams.info(name)
  } catch (error) {
    if (error instanceof JetStreamApiError && error.status === 404) return undefined
    throw error
  }
}
