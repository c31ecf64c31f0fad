import type { NatsConnection } from '@nats-io/transport-node'
import { createCommandPublisher } from '#mesh/commands.ts'
import { createIds } from '#mesh/ids.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'

/** What each member gets, in minor units by asset. */
export type Gift = Readonly<Record<string, bigint>>

/** Deposits that are on their way at once. */
const AT_ONCE = 2_000

/**
 * Gives every member money, as an admin's deposits do, straight into the accounts' logs: it has arrived when a command that
 * follows it is applied. References name member and asset, so that a second time changes nothing.
 */
export async function fundMembers(
  nats: NatsConnection,
  options: { readonly accountSlots: number; readonly memberIds: readonly number[]; readonly gift: Gift },
): Promise<void> {
  const publisher = createCommandPublisher(nats)
  const ids = createIds(nats)
  let waiting: Promise<unknown>[] = []
  for (const memberId of options.memberIds) {
    for (const [asset, amount] of Object.entries(options.gift)) {
      const slot = accountSlotOf(memberId, options.accountSlots)
      const reference = `gift-${memberId}-${asset}`
      const command = { type: 'Deposit', commandId: await ids.next(), replyTo: '', memberId, reference, asset }
      waiting.push(publisher.append(Log.accounts, slot, { ...command, amountMinor: String(amount) }))
    }
    if (waiting.length < AT_ONCE) continue
    await Promise.all(waiting)
    waiting = []
  }
  await Promise.all(waiting)
}
