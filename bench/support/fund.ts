import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import { createCommandPublisher } from '#mesh/commands.ts'
import { createIds } from '#mesh/ids.ts'
import { createReplyListener } from '#mesh/replies.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'

/** What each member gets, in minor units by asset. */
export type Gift = Readonly<Record<string, bigint>>

/** Deposits that are on their way at once. */
const AT_ONCE = 2_000
const REPLY_MS_MAX = 30_000

/**
 * Gives every member money, as an admin's deposits do, and returns when all of it is booked. References name member and
 * asset, so that a second time changes nothing.
 */
export async function fundMembers(
  nats: NatsConnection,
  options: { readonly accountSlots: number; readonly memberIds: readonly number[]; readonly gift: Gift },
): Promise<void> {
  const replyTo = `funding-${randomUUID()}`
  const publisher = createCommandPublisher(nats)
  const replies = createReplyListener(nats, replyTo)
  const ids = createIds(nats)
  const deposit = async (memberId: number, asset: string, amount: bigint): Promise<void> => {
    const commandId = await ids.next()
    const reply = replies.expect(commandId, REPLY_MS_MAX)
    const command = { type: 'Deposit', commandId, replyTo, memberId, reference: `gift-${memberId}-${asset}`, asset }
    const slot = accountSlotOf(memberId, options.accountSlots)
    await publisher.append(Log.accounts, slot, { ...command, amountMinor: String(amount) })
    const answer = await reply
    assert.equal(answer.kind, 'booked', `the deposit was answered ${JSON.stringify(answer)}`)
  }
  const gifts = Object.entries(options.gift)
  const membersAtOnce = Math.ceil(AT_ONCE / gifts.length)
  for (let at = 0; at < options.memberIds.length; at += membersAtOnce) {
    const members = options.memberIds.slice(at, at + membersAtOnce)
    await Promise.all(members.flatMap((memberId) => gifts.map(([asset, amount]) => deposit(memberId, asset, amount))))
  }
}
