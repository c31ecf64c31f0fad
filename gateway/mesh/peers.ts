import type { NatsConnection } from '@nats-io/transport-node'
import { GATEWAY_ALIVE } from '#mesh/subjects.ts'

const BEAT_MS = 1_000
const SILENT_MS_MAX = 3_000

/** Counts the gateways that live, this one included. */
export function countGateways(nats: NatsConnection, instanceId: string): { count(): number; stop(): void } {
  const heard = new Map<string, number>()
  const subscription = nats.subscribe(GATEWAY_ALIVE, {
    callback: (error, message) => {
      if (error !== null) return
      const isNew = !heard.has(message.string())
      heard.set(message.string(), performance.now())
      // A newcomer hears at once of all who are there, and they of him: together they never let in more than the cap.
      if (isNew) beat()
    },
  })
  let living = 1
  const beat = (): void => {
    if (!nats.isClosed()) nats.publish(GATEWAY_ALIVE, instanceId)
    const oldest = performance.now() - SILENT_MS_MAX
    for (const [instance, at] of heard) if (at < oldest) heard.delete(instance)
    heard.set(instanceId, performance.now())
    living = heard.size
  }
  beat()
  const timer = setInterval(beat, BEAT_MS)
  return {
    count: () => living,
    stop: () => {
      clearInterval(timer)
      subscription.unsubscribe()
    },
  }
}
