import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import pino from 'pino'
import { ConfigError } from './config.ts'
import { migrate, migratePatiently } from './migrate.ts'
import { createPool, isDuplicate, type Row } from './mysql.ts'
import { startMariadb } from './testing/servers.ts'

const log = pino({ level: 'silent' })

describe('migrate', function () {
  this.timeout(60_000)
  let mariadb: Awaited<ReturnType<typeof startMariadb>>
  let directory: string
  const at = () => pathToFileURL(`${directory}/`)
  const file = (name: string, sql: string) => writeFileSync(join(directory, name), sql)
  const url = (database: string) => mariadb.url.replace(/[^/]*$/, database)

  before(async () => {
    mariadb = await startMariadb()
  })
  after(() => mariadb.stop())
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'migrations-'))
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('creates the database and applies each file once, by name, with several instances at once', async () => {
    file('002-b.sql', 'INSERT INTO steps (name) VALUES ("b; -- no end");\nINSERT INTO steps (name) VALUES ("c");')
    file('001-a.sql', 'CREATE TABLE steps (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20));')
    const applied = await Promise.all([1, 2, 3, 4].map(() => migrate(url('several'), log, at())))
    assert.deepEqual(applied.flat(), ['001-a.sql', '002-b.sql'])
    const pool = createPool(url('several'))
    const [rows] = await pool.query<Row[]>('SELECT name FROM steps ORDER BY id')
    assert.deepEqual(
      rows.map((row) => row.name),
      ['b; -- no end', 'c'],
    )
    await pool.end()
    file('003-d.sql', 'INSERT INTO steps (name) VALUES ("d")')
    assert.deepEqual(await migrate(url('several'), log, at()), ['003-d.sql'])
    assert.deepEqual(await migrate(url('several'), log, at()), [])
  })

  it('refuses a file that was changed after it had been applied', async () => {
    file('001-a.sql', 'CREATE TABLE a (id INT);\n')
    await migrate(url('changed'), log, at())
    file('001-a.sql', 'CREATE TABLE a (id INT);\r\n')
    await migrate(url('changed'), log, at())
    file('001-a.sql', 'CREATE TABLE a (id BIGINT);\n')
    file('002-b.sql', 'CREATE TABLE b (id INT);')
    await assert.rejects(migrate(url('changed'), log, at()), { code: 'migration_changed' })
    const pool = createPool(url('changed'))
    const [rows] = await pool.query<Row[]>("SHOW TABLES LIKE 'b'")
    assert.equal(rows.length, 0)
    await pool.end()
  })

  it('runs a file again that failed, and gives the lock back', async () => {
    file('001-a.sql', 'CREATE TABLE IF NOT EXISTS a (id INT); SELECT nonsense FROM nowhere;')
    await assert.rejects(migrate(url('failed'), log, at()), { code: 'migration_failed' })
    file('001-a.sql', 'CREATE TABLE IF NOT EXISTS a (id INT);')
    assert.deepEqual(await migrate(url('failed'), log, at()), ['001-a.sql'])
  })

  for (const names of [['1-a.sql'], ['001-A.sql'], ['001-a.sql', '001-b.sql']]) {
    it(`refuses files called ${names.join(' and ')}`, async () => {
      for (const name of names) file(name, 'SELECT 1;')
      await assert.rejects(migrate(url('names'), log, at()), { code: 'migration_invalid' })
    })
  }

  it('applies what is in the repository', async () => {
    assert.ok((await migrate(url('repository'), log)).includes('001-auth.sql'))
    assert.deepEqual(await migrate(url('repository'), log), [])
  })

  for (const bad of ['', 'mysql://root@127.0.0.1:3306', 'http://127.0.0.1/x', 'mysql://root@127.0.0.1/a`b']) {
    it(`refuses the url "${bad}"`, async () => {
      await assert.rejects(migrate(bad, log, at()), ConfigError)
    })
  }

  it('is tried again until MySQL is there, or nobody wants it any more', async () => {
    const signal = AbortSignal.timeout(50_000)
    await mariadb.kill()
    const waiting = migratePatiently(url('patient'), log, signal)
    const givenUp = migratePatiently(url('patient'), log, AbortSignal.timeout(100))
    assert.equal(await givenUp, false)
    await mariadb.restart()
    assert.equal(await waiting, true)
    assert.deepEqual(await migrate(url('patient'), log), [])
  })

  it('the pool gives big numbers without loss and runs one statement at a time', async () => {
    await migrate(url('numbers'), log, at())
    const pool = createPool(url('numbers'))
    const [rows] = await pool.query<Row[]>('SELECT 9223372036854775807 AS big, CAST(7 AS SIGNED) AS small')
    assert.equal(rows[0]?.big, '9223372036854775807')
    assert.equal(Number(rows[0]?.small), 7)
    await assert.rejects(pool.query('SELECT 1; SELECT 2'), { code: 'ER_PARSE_ERROR' })
    await pool.query('CREATE TABLE one (id INT PRIMARY KEY)')
    await pool.query('INSERT INTO one VALUES (1)')
    await assert.rejects(pool.query('INSERT INTO one VALUES (1)'), isDuplicate)
    await pool.end()
  })
})
