import { JetStreamApiError, type JetStreamManager } from '@nats-io/jetstream'
import type { MeshShape } from '#mesh/streams.ts'
import { STREAM_OF_LOG } from '#mesh/subjects.ts'

/** This NATS carries no mesh. */
export class NoMesh extends Error {
  override readonly name = 'NoMesh'
  readonly code = 'no_mesh'
}

/** The numbers of slots, as the streams remember them from the first start. @throws NoMesh */
export async function shapeOf(manager: JetStreamManager): Promise<MeshShape> {
  return {
    accountSlots: await slotsOf(manager, STREAM_OF_LOG.accounts),
    marketSlots: await slotsOf(manager, STREAM_OF_LOG.markets),
  }
}

async function slotsOf(manager: JetStreamManager, stream: string): Promise<number> {
  try {
    const { config } = await manager.streams.info(stream)
    const slots = Number(config.metadata?.slots)
    if (Number.isSafeInteger(slots) && slots > 0) return slots
    throw new NoMesh(`The stream ${stream} does not say how many slots it was made for.`)
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error
    throw new NoMesh(`There is no mesh here: ${stream}: ${error.message}.`)
  }
}
