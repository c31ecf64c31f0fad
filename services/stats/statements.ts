import { inTransaction, type Pool, type ResultSetHeader, type Row } from '#mesh/mysql.ts'

const STATEMENTS_JOB = 'statements'

/** Days that are over and have no statements yet, oldest first, up to this one. */
export async function daysWithoutStatements(pool: Pool, lastDay: number): Promise<number[]> {
  const [[done], [first]] = await Promise.all([
    pool.query<Row[]>('SELECT MAX(day) AS day FROM daily_runs WHERE job = ?', [STATEMENTS_JOB]).then(([rows]) => rows),
    pool.query<Row[]>('SELECT MIN(day) AS day FROM member_asset_days').then(([rows]) => rows),
  ])
  const fromDay = done?.day == null ? Number(first?.day ?? lastDay) : Number(done.day) + 1
  return Array.from({ length: Math.max(0, lastDay - fromDay + 1) }, (_, index) => fromDay + index)
}

/** Issues the statements of a day that is over and written; those that are issued stay as they are. @returns how many lines. */
export async function issueStatements(pool: Pool, day: number): Promise<number> {
  return await inTransaction(pool, async (connection) => {
    const [{ affectedRows }] = await connection.query<ResultSetHeader>(
      `INSERT IGNORE INTO statements (member_id, day, asset, opening_minor, deposits_minor, withdrawals_minor, transfers_minor,
         trades_minor, fees_minor, closing_minor)
       SELECT member_id, day, asset, opening, deposits_minor, withdrawals_minor, transfers_minor,
         closing_minor - opening - deposits_minor + withdrawals_minor - transfers_minor + fees_minor, fees_minor, closing_minor
       FROM (
         SELECT d.*, COALESCE((
           SELECT before_it.closing_minor FROM member_asset_days before_it
           WHERE before_it.member_id = d.member_id AND before_it.asset = d.asset AND before_it.day < d.day
           ORDER BY before_it.day DESC LIMIT 1), 0) AS opening
         FROM member_asset_days d WHERE d.day = ?) of_day`,
      [day],
    )
    await connection.query('INSERT IGNORE INTO daily_runs (job, day) VALUES (?, ?)', [STATEMENTS_JOB, day])
    return affectedRows
  })
}
