import type { NatsConnection } from '@nats-io/transport-node'
import type { AlertsTestReply } from '#mesh/protocol/alerts.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { LOG_OF_SERVICE, Rpc, slotSnapshotSubject } from '#mesh/subjects.ts'
import { slotCounts } from './domain/slots.ts'

/** What an admin may do from here: nothing that could harm, and nothing that the command line cannot. */
export interface Actions {
  /** @throws RpcError `no_channel`, `delivery_failed` */
  testAlert(): Promise<AlertsTestReply>
  /** @throws RpcError `slot_not_found`, `snapshot_nothing_new`, … */
  snapshot(service: string, slot: number): Promise<object>
}

const TEST_MS_MAX = 25_000
/** A snapshot of a large state takes a while. */
const SNAPSHOT_MS_MAX = 300_000

export function createActions(nats: NatsConnection, shape: MeshShape): Actions {
  const counts = slotCounts(shape)
  return {
    testAlert: () => callRpc<AlertsTestReply>(nats, Rpc.alertsTest, {}, TEST_MS_MAX),
    snapshot: async (service, slot) => {
      const log = LOG_OF_SERVICE.get(service)
      if (log === undefined || slot >= counts[log]) {
        throw new RpcError('slot_not_found', `There is no slot ${service} ${slot}.`)
      }
      return await callRpc<object>(nats, slotSnapshotSubject(log, slot), {}, SNAPSHOT_MS_MAX)
    },
  }
}
