import type { ResultSetHeader } from 'mysql2/promise'
import type { Pool, Row } from '#mesh/mysql.ts'
import { ascii } from './sql.ts'

/** How long a slot stays with an instance that gives no sign of life, in milliseconds of the database's clock. */
export const LEASE_MS = 3_000

export interface Leases {
  /** The slots that this instance may write now, after renewing, taking up free ones and giving away its surplus. */
  tick(): Promise<ReadonlySet<number>>
  /** Gives all slots back. */
  release(): Promise<void>
}

interface LeaseOptions {
  readonly pool: Pool
  readonly projection: string
  readonly slots: number
  /** Unique to the process, not only to its name: a restarted one is another owner. */
  readonly owner: string
  /** Ends the writing of a slot before it is given to another instance. */
  readonly letGo: (slot: number) => Promise<void>
}

/**
 * Shares the slots out between the instances that are alive, evenly. For liveness only: two that write the same slot do no
 * harm, as the position decides. All times are the database's, so the instances' clocks do not matter.
 */
export function createLeases(options: LeaseOptions): Leases {
  const { pool } = options
  const projection = ascii(options.projection, 32)
  const owner = ascii(options.owner, 128)
  const until = `NOW(3) + INTERVAL ${LEASE_MS * 1_000} MICROSECOND`

  /** How many slots this instance should have: all as many, and one more for those that have more already. */
  const fairShare = async (): Promise<number> => {
    await pool.query(
      `INSERT INTO projection_instances (projection, instance, alive_until) VALUES (${projection}, ${owner}, ${until})
       ON DUPLICATE KEY UPDATE alive_until = VALUES(alive_until)`,
    )
    await pool.query(`DELETE FROM projection_instances WHERE alive_until < NOW(3) - INTERVAL 1 HOUR`)
    const [rows] = await pool.query<Row[]>(
      `SELECT i.instance = ${owner} AS mine, COUNT(s.slot) AS owned FROM projection_instances i
       LEFT JOIN projection_slots s ON s.projection = i.projection AND s.owner = i.instance AND s.owned_until > NOW(3)
       WHERE i.projection = ${projection} AND i.alive_until > NOW(3)
       GROUP BY i.instance ORDER BY owned DESC, i.instance`,
    )
    const place = rows.findIndex(({ mine }) => Number(mine) === 1)
    const instances = Math.max(1, rows.length)
    return Math.floor(options.slots / instances) + (place < options.slots % instances ? 1 : 0)
  }
  const slotsWhere = async (condition: string): Promise<number[]> => {
    const [rows] = await pool.query<Row[]>(
      `SELECT slot FROM projection_slots WHERE projection = ${projection} AND ${condition} ORDER BY slot`,
    )
    return rows.map((row) => Number(row.slot)).filter((slot) => slot < options.slots)
  }
  const take = async (slot: number): Promise<boolean> => {
    const [result] = await pool.query<ResultSetHeader>(
      `UPDATE projection_slots SET owner = ${owner}, owned_until = ${until}
       WHERE projection = ${projection} AND slot = ${slot} AND owned_until <= NOW(3)`,
    )
    return result.affectedRows === 1
  }
  const give = (slot: number): Promise<unknown> =>
    pool.query(
      `UPDATE projection_slots SET owned_until = '2000-01-01'
       WHERE projection = ${projection} AND slot = ${slot} AND owner = ${owner}`,
    )

  return {
    tick: async () => {
      const share = await fairShare()
      await pool.query(
        `UPDATE projection_slots SET owned_until = ${until}
         WHERE projection = ${projection} AND owner = ${owner} AND owned_until > NOW(3)`,
      )
      const owned = new Set(await slotsWhere(`owner = ${owner} AND owned_until > NOW(3)`))
      for (const slot of [...owned].slice(share)) {
        await options.letGo(slot)
        await give(slot)
        owned.delete(slot)
      }
      if (owned.size < share) {
        for (const slot of await slotsWhere('owned_until <= NOW(3)')) {
          if (owned.size < share && (await take(slot))) owned.add(slot)
        }
      }
      return owned
    },
    release: async () => {
      await pool.query(`DELETE FROM projection_instances WHERE projection = ${projection} AND instance = ${owner}`)
      await pool.query(
        `UPDATE projection_slots SET owned_until = '2000-01-01' WHERE projection = ${projection} AND owner = ${owner}`,
      )
    },
  }
}
