import { haltSlot } from '#mesh/machine/halts.ts'
import type { Service } from '#mesh/service.ts'
import { Log } from '#mesh/subjects.ts'

/**
 * A bus that comes from a backup as a whole agrees with itself: only MySQL knows that members were told more than it remembers.
 * Such a slot is halted, so that nobody goes on from a past that is not the true one; also again, when it is cleared and the
 * bus is still the same.
 */
export async function haltForgotten(service: Service, slot: number): Promise<void> {
  const reason = 'MySQL holds more of this slot than EVENTS. Restore the bus as it was last, then clear the slot.'
  const halt = { code: 'log_went_backwards', reason, sequence: 0, instance: service.instanceId }
  try {
    if (!(await haltSlot(service.nats, Log.accounts, slot, halt))) return
    service.log.fatal({ alarm: true, slot }, 'the bus has forgotten what MySQL knows; the slot is halted')
  } catch (error) {
    service.log.warn({ err: error, slot }, 'the slot could not be halted')
  }
}
