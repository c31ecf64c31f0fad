import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { createPool as createStreamPool } from 'mysql2'
import { connectionOptions, type Pool, type Row } from '#mesh/mysql.ts'
import { hasPassed, loadPositions } from '#mesh/projection/positions.ts'
import type { AccountReadResult } from '#mesh/protocol/accounts.ts'
import { callRpc } from '#mesh/rpc.ts'
import { Log, STREAM_OF_LOG, slotFilter, slotReadSubject } from '#mesh/subjects.ts'

interface Mesh {
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly mysqlUrl: string
  readonly accountSlots: number
}

const CATCH_UP_MS_MAX = 120_000
const QUIET_MS = 100

/**
 * Waits until the logs of the accounts are quiet and MySQL has everything.
 * @returns how long that took, in milliseconds.
 */
export async function untilCaughtUp(mesh: Mesh): Promise<number> {
  const beganMs = performance.now()
  let before = ''
  for (;;) {
    const ends = await Promise.all(
      Array.from({ length: mesh.accountSlots }, (_, slot) => lastSequence(mesh.nats, slot)),
    )
    const positions = await loadPositions(mesh.pool, 'orders')
    const isWritten = ends.every((sequence, slot) => {
      const progress = positions.get(slot)
      return sequence === 0 || (progress !== undefined && hasPassed(progress, sequence))
    })
    if (isWritten && ends.join() === before) return performance.now() - beganMs
    if (performance.now() - beganMs > CATCH_UP_MS_MAX) throw new Error('MySQL does not catch up.')
    before = ends.join()
    await sleep(QUIET_MS)
  }
}

async function lastSequence(nats: NatsConnection, slot: number): Promise<number> {
  const manager = await jetstreamManager(nats, { checkAPI: false })
  const last = await manager.streams.getMessage(STREAM_OF_LOG[Log.accounts], {
    last_by_subj: slotFilter(Log.accounts, slot),
  })
  return last?.seq ?? 0
}

/**
 * Every accepted order is in MySQL once, under the id that its sender was told.
 * @param accepted by the prefix of the clientOrderIds: the id of order n, 0 where it was not accepted.
 * @returns what is wrong, none when all is well.
 */
export async function checkOrders(mesh: Mesh, accepted: ReadonlyMap<string, Float64Array>): Promise<string[]> {
  const found = new Map([...accepted].map(([name, ids]) => [name, new Uint8Array(ids.length)]))
  const faults: string[] = []
  const pool = createStreamPool({ ...connectionOptions(mesh.mysqlUrl), connectionLimit: 1, rowsAsArray: true })
  try {
    const rows = pool.query('SELECT client_order_id, order_id FROM orders').stream({ highWaterMark: 1_000 })
    for await (const [clientOrderId, orderId] of rows) {
      const text = String(clientOrderId)
      const dash = text.indexOf('-')
      const n = Number(text.slice(dash + 1))
      const name = text.slice(0, dash)
      const ids = accepted.get(name)
      const counts = found.get(name)
      if (ids === undefined || counts === undefined || ids[n] === 0) continue
      counts[n] = (counts[n] ?? 0) + 1
      if (ids[n] !== Number(orderId))
        faults.push(`order ${text} has the id ${orderId} in MySQL, its sender was told ${ids[n]}`)
    }
  } finally {
    await new Promise((resolve) => pool.end(resolve))
  }
  for (const [name, ids] of accepted) {
    const counts = found.get(name)
    const wrong = ids.findIndex((id, n) => id !== 0 && counts?.[n] !== 1)
    if (wrong >= 0) faults.push(`order ${name}-${wrong} is in MySQL ${counts?.[wrong]} times`)
  }
  return faults
}

/**
 * For each asset: what the members have and what was taken as fees is what was deposited, in MySQL and in the accounts' memory.
 * @returns what is wrong, none when all is well.
 */
export async function checkMoney(mesh: Mesh, deposited: Readonly<Record<string, bigint>>): Promise<string[]> {
  const faults: string[] = []
  const [rows] = await mesh.pool.query<Row[]>(
    `SELECT b.asset, b.total, COALESCE(t.fees, 0) AS fees
     FROM (SELECT asset, SUM(available_minor + held_minor) AS total FROM balances GROUP BY asset) b
     LEFT JOIN (SELECT asset, SUM(fees_minor) AS fees FROM asset_totals GROUP BY asset) t ON t.asset = b.asset`,
  )
  const inMemory = await totalsOfAccounts(mesh)
  for (const [asset, amount] of Object.entries(deposited)) {
    const row = rows.find((one) => one.asset === asset)
    const total = BigInt(row?.total ?? 0)
    const fees = BigInt(row?.fees ?? 0)
    const memory = inMemory.get(asset) ?? { members: 0n, fees: 0n }
    if (total + fees !== amount) faults.push(`${asset}: MySQL has ${total} + ${fees} fees, deposited were ${amount}`)
    if (memory.members !== total || memory.fees !== fees) {
      faults.push(`${asset}: the accounts have ${memory.members} + ${memory.fees} fees, MySQL ${total} + ${fees}`)
    }
  }
  return faults
}

async function totalsOfAccounts({ nats, accountSlots }: Mesh): Promise<Map<string, { members: bigint; fees: bigint }>> {
  const sums = new Map<string, { members: bigint; fees: bigint }>()
  for (let slot = 0; slot < accountSlots; slot++) {
    const subject = slotReadSubject(Log.accounts, slot)
    const result = await callRpc<AccountReadResult>(nats, subject, { read: 'totals' }, 10_000)
    if (result.read !== 'totals') throw new Error('The answer is not to this question.')
    for (const { asset, availableMinor, heldMinor, feesMinor } of result.totals) {
      const sum = sums.get(asset) ?? { members: 0n, fees: 0n }
      sum.members += BigInt(availableMinor) + BigInt(heldMinor)
      sum.fees += BigInt(feesMinor)
      sums.set(asset, sum)
    }
  }
  return sums
}
