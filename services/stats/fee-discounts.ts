import type { CommandPublisher } from '#mesh/commands.ts'
import type { Ids } from '#mesh/ids.ts'
import type { Pool, Row } from '#mesh/mysql.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'
import { discountOf, type FeeTier, TIER_DAYS } from './domain/fee-tiers.ts'

const DISCOUNTS_JOB = 'fee-discounts'
const MEMBERS_AT_ONCE = 10_000

interface Discounts {
  readonly pool: Pool
  readonly publisher: CommandPublisher
  readonly ids: Ids
  readonly accountSlots: number
  readonly tiers: readonly FeeTier[]
  /** What volumes are counted in, with its scale: markets that are priced in it. */
  readonly asset: string
  readonly scale: number
}

export async function areDiscountsSet(pool: Pool, day: number): Promise<boolean> {
  const [rows] = await pool.query<Row[]>('SELECT 1 FROM daily_runs WHERE job = ? AND day = ?', [DISCOUNTS_JOB, day])
  return rows.length > 0
}

/**
 * Tells the account slots what each member is let off from this day on, by his volume in the thirty days before it, where that is
 * another discount than he has. Done twice it changes nothing. @returns for how many.
 */
export async function setDiscounts(of: Discounts, day: number): Promise<number> {
  let count = 0
  let afterMember = 0
  for (;;) {
    const members = await membersAfter(of, afterMember, day)
    const last = members.at(-1)
    if (last === undefined) break
    afterMember = last.memberId
    const changed = members.filter(({ current, due }) => current !== due)
    const commandIds = changed.length === 0 ? [] : await of.ids.nextMany(changed.length)
    await Promise.all(
      changed.map(({ memberId, due }, index) =>
        of.publisher.append(Log.accounts, accountSlotOf(memberId, of.accountSlots), {
          type: 'SetFeeDiscount',
          commandId: commandIds[index],
          replyTo: '',
          memberId,
          day,
          discountPpm: due,
        }),
      ),
    )
    count += changed.length
  }
  await of.pool.query('INSERT IGNORE INTO daily_runs (job, day) VALUES (?, ?)', [DISCOUNTS_JOB, day])
  return count
}

interface Due {
  readonly memberId: number
  readonly current: number
  readonly due: number
}

/** The next of those who ever traded, by id; none has a discount but them. */
async function membersAfter({ pool, tiers, asset, scale }: Discounts, memberId: number, day: number): Promise<Due[]> {
  const [[end]] = await pool.query<Row[]>(
    `SELECT MAX(member_id) AS member_id FROM (
       SELECT member_id FROM member_days WHERE member_id > ? GROUP BY member_id ORDER BY member_id LIMIT ${MEMBERS_AT_ONCE}) page`,
    [memberId],
  )
  if (end?.member_id == null) return []
  const [rows] = await pool.query<Row[]>(
    `SELECT m.member_id, COALESCE(MAX(f.discount_ppm), 0) AS discount_ppm,
       SUM(IF(m.day >= ? AND m.day < ? AND m.instrument LIKE ?, m.quote_minor, 0)) AS volume
     FROM member_days m LEFT JOIN fee_discounts f ON f.member_id = m.member_id
     WHERE m.member_id > ? AND m.member_id <= ? GROUP BY m.member_id ORDER BY m.member_id`,
    [day - TIER_DAYS, day, `%-${asset}`, memberId, end.member_id],
  )
  return rows.map((row) => ({
    memberId: Number(row.member_id),
    current: Number(row.discount_ppm),
    due: discountOf(tiers, BigInt(row.volume), scale),
  }))
}
