import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { Archive } from '#mesh/archive/archive.ts'
import { archiveStream } from '#mesh/archive/archiver.ts'
import { migrate } from '#mesh/migrate.ts'
import { createPool, type Pool, type Row } from '#mesh/mysql.ts'
import {
  type CandleLine,
  type CandlesPush,
  INTERVALS,
  type LiveStatsRead,
  type LiveStatsResult,
  type MemberDay,
  type StatsProgress,
  type StatsQuery,
  type StatsQueryResult,
  type StatsResultOf,
} from '#mesh/protocol/stats.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { EVENTS_STREAM, framesSubject, Log, PushChannel, pusherReadSubject, pushSubject, Rpc } from '#mesh/subjects.ts'
import { startMariadb, startNats } from '#mesh/testing/servers.ts'
import { SlotScenario } from '#services/orders/testing/scenario.ts'
import { runCommandLine } from '../../exchange/cli.ts'
import { eventually } from '../../test/support/eventually.ts'
import { addTrade, type Candle, gathered, lineOf } from './domain/candles.ts'
import { nextStart } from './domain/intervals.ts'
import { removeOldSeconds } from './retention.ts'
import { MarketScenario } from './testing/market-scenario.ts'

const SLOTS = 2
/** Far more than it takes, but for a machine that has much else to do. */
const WAIT_MS_MAX = 120_000
const DAY_US = 86_400_000_000
const MARKETS = [['AAA-USD', 'BBB-USD'], ['CCC-USD']] as const

/** Frames of a hundred days, read and written by real processes. */
describe('statistics from the log', function () {
  this.timeout(300_000)
  const directory = mkdtempSync(join(tmpdir(), 'exchange-stats-'))
  let servers: { nats: Awaited<ReturnType<typeof startNats>>; mariadb: Awaited<ReturnType<typeof startMariadb>> }
  let nats: NatsConnection
  let pool: Pool
  let markets: MarketScenario[]
  let accounts: SlotScenario[]
  const children = new Set<ChildProcess>()

  before(async () => {
    servers = { nats: await startNats(), mariadb: await startMariadb() }
    nats = await connectNats(servers.nats.url, 'test')
    await migrate(servers.mariadb.url, pino({ level: 'silent' }))
    pool = createPool(servers.mariadb.url)
    await ensureStreams(nats, { accountSlots: SLOTS, marketSlots: SLOTS })
    markets = MARKETS.map(
      (instruments, slot) => new MarketScenario(slot, instruments, (Date.now() - 100 * 86_400_000) * 1_000),
    )
    accounts = Array.from({ length: SLOTS }, (_, slot) => new SlotScenario(slot, membersOf(slot), 7 + slot))
  })
  after(async () => {
    for (const child of children) await end(child, 'SIGKILL')
    await pool?.end()
    await nats?.close()
    await servers?.nats.stop()
    await servers?.mariadb.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const start = (instanceId: string, env: Readonly<Record<string, string>> = {}): ChildProcess => {
    const child = spawn(process.execPath, ['services/stats/main.ts'], {
      env: {
        ...process.env,
        NATS_URL: servers.nats.url,
        MYSQL_URL: servers.mariadb.url,
        ACCOUNT_SLOTS: String(SLOTS),
        MARKET_SLOTS: String(SLOTS),
        INSTANCE_ID: instanceId,
        STATS_SECONDS_KEPT_HOURS: '100000',
        LOG_LEVEL: process.env.TEST_LOG ?? 'error',
        ...env,
      },
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    children.add(child)
    return child
  }
  const end = async (child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> => {
    children.delete(child)
    if (child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill(signal)
    const [code] = await exit
    if (signal === 'SIGTERM') assert.equal(code, 0, 'it stops in order')
  }
  const publish = async (frames: number, pauseS: number): Promise<void> => {
    for (let count = 0; count < frames; count++) {
      for (const market of markets) await market.publish(nats, count % 7, pauseS)
      for (const account of accounts) await account.publish(nats, 10)
    }
  }
  const progress = () => callRpc<StatsProgress>(nats, Rpc.statsProgress, {}, 5_000)
  const caughtUp = () =>
    eventually(async () => {
      const { slots } = await progress()
      assert(slots.length === 2 * SLOTS)
      for (const one of slots) assert(one.lastFrame > 0 && one.frameSequence === one.lastFrame, JSON.stringify(one))
    }, WAIT_MS_MAX)
  const query = <Query extends StatsQuery>(request: Query) =>
    callRpc<StatsQueryResult>(nats, Rpc.statsQuery, request, 5_000) as Promise<StatsResultOf<Query>>
  const live = <Read extends LiveStatsRead>(slot: number, read: Read) =>
    callRpc<Extract<LiveStatsResult, { read: Read['read'] }>>(nats, pusherReadSubject('stats', slot), read, 5_000)
  const secondsOf = (instrument: string): Candle[] => {
    const seconds: Candle[] = []
    for (const { trades } of markets) for (const trade of trades.get(instrument) ?? []) addTrade(seconds, trade)
    return seconds
  }

  const TABLES = ['candles', 'traded_markets', 'member_days', 'member_asset_days']
  const dump = () =>
    Promise.all(TABLES.map(async (table) => (await pool.query<Row[]>(`SELECT * FROM ${table} ORDER BY 1, 2, 3`))[0]))
  const assertRows = async (): Promise<void> => {
    for (const instrument of MARKETS.flat()) {
      for (const interval of INTERVALS) {
        const [rows] = await pool.query<Row[]>(
          'SELECT * FROM candles WHERE instrument = ? AND period = ? ORDER BY start_s',
          [instrument, interval],
        )
        assert.deepEqual(
          rows.map(lineOfRow),
          gathered(interval, secondsOf(instrument)).map(lineOf),
          `${instrument} ${interval}`,
        )
      }
    }
    const [totals] = await pool.query<Row[]>('SELECT instrument, trade_id, trades, lots FROM traded_markets ORDER BY 1')
    assert.deepEqual(
      totals.map((row) => [row.instrument, Number(row.trade_id), Number(row.trades), row.lots]),
      markets.flatMap(({ trades }) =>
        [...trades].map(([instrument, all]) => [
          instrument,
          all.length,
          all.length,
          String(all.reduce((sum, { lots }) => sum + lots, 0)),
        ]),
      ),
    )
    const [days] = await pool.query<Row[]>('SELECT * FROM member_days ORDER BY member_id, day, instrument')
    assert.deepEqual(
      days.map(({ member_id, day, instrument, trades, lots, quote_minor, base_fee_minor, quote_fee_minor }) =>
        [member_id, day, instrument, trades, lots, quote_minor, base_fee_minor, quote_fee_minor].map(String),
      ),
      accounts.flatMap(expectedDays).sort((a, b) => Number(a[0]) - Number(b[0]) || Number(a[1]) - Number(b[1])),
    )
  }

  it('are written once, by whoever of two is alive, and told live from where they stand', async () => {
    await publish(40, 60_000)
    const first = start('stats-1')
    const position = async () =>
      (await progress().catch(() => ({ slots: [] }))).slots.reduce((sum, one) => sum + one.frameSequence, 0)
    await eventually(async () => assert((await position()) > 0), WAIT_MS_MAX)
    const second = start('stats-2')
    await publish(10, 1)
    await end(first, 'SIGKILL')
    await publish(10, 1)
    await caughtUp()
    await assertRows()

    // The ticker of a day: by the present minute, so the trades are of now.
    for (const market of markets) market.timeUs = Date.now() * 1_000
    const told: CandlesPush[] = []
    nats.subscribe(pushSubject(PushChannel.candles, 'CCC-USD'), {
      callback: (_, message) => void told.push(message.json()),
    })
    await eventually(() => live(1, { read: 'ticker', instrument: 'CCC-USD' }), WAIT_MS_MAX)
    await publish(7, 0)
    const today =
      markets[1]?.trades.get('CCC-USD')?.filter(({ timeUs }) => timeUs > Date.now() * 1_000 - DAY_US + 120_000_000) ??
      []
    await eventually(async () => {
      const { ticker } = await live(1, { read: 'ticker', instrument: 'CCC-USD' })
      const prices = today.map(({ priceTicks }) => priceTicks)
      assert.deepEqual(
        { ...ticker, timeUs: 0 },
        {
          tradeId: markets[1]?.trades.get('CCC-USD')?.length,
          timeUs: 0,
          openTicks: prices[0],
          highTicks: Math.max(...prices),
          lowTicks: Math.min(...prices),
          lastTicks: prices.at(-1),
          lots: String(today.reduce((sum, { lots }) => sum + lots, 0)),
          tickLots: String(today.reduce((sum, { lots, priceTicks }) => sum + lots * priceTicks, 0)),
          tradesCount: today.length,
        },
      )
    })
    const { candles } = await live(1, { read: 'candles', instrument: 'CCC-USD' })
    for (const [index, interval] of INTERVALS.entries()) {
      const known = candles.filter(([of]) => of === index).at(-1)
      assert.deepEqual(known?.[1], gathered(interval, secondsOf('CCC-USD')).map(lineOf).at(-1), interval)
    }
    await eventually(() => {
      const minutes = told.flatMap(({ candles: news }) => news).filter(([index]) => INTERVALS[index] === '1m')
      assert.deepEqual(minutes.at(-1)?.[1], gathered('1m', secondsOf('CCC-USD')).map(lineOf).at(-1))
      const numbers = told.map(({ number }) => number)
      assert.deepEqual(
        numbers,
        numbers.map((_, index) => (numbers[0] ?? 0) + index),
      )
    })
    await caughtUp()
    await end(second, 'SIGTERM')
  })

  it('are the same bytes when they are written anew, from the archive where the log was trimmed', async () => {
    const before = await dump()
    assert(before.every((rows) => rows.length > 0))
    const archiveDirectory = join(directory, 'archive')
    await archiveStream(nats, new Archive(archiveDirectory), EVENTS_STREAM, { afterSeconds: 0, segmentBytes: 50_000 })
    const manager = await jetstreamManager(nats)
    for (const { slot, frameSequence } of markets) {
      await manager.streams.purge(EVENTS_STREAM, { filter: framesSubject(Log.markets, slot), seq: frameSequence })
    }
    const rebuild = () => runCommandLine(['stats', 'rebuild'], { NATS_URL: servers.nats.url })
    const without = start('stats-without')
    await eventually(progress, WAIT_MS_MAX)
    const refused = await rebuild()
    assert.deepEqual([refused.exitCode, /\(frames_trimmed\)$/.test(refused.output)], [1, true], refused.output)
    assert.deepEqual(await dump(), before)
    await end(without, 'SIGTERM')

    const archived = start('stats-archived', { ARCHIVE_DIR: archiveDirectory })
    await eventually(progress, WAIT_MS_MAX)
    const done = await rebuild()
    assert.equal(done.exitCode, 0, done.output)
    assert.deepEqual(await dump(), before)
    await assertRows()
    await end(archived, 'SIGTERM')
  })

  it('live ones come from the first frame where what is written is of another log', async () => {
    const another = async (change: string): Promise<void> => {
      await pool.query(`UPDATE positions SET frame_hash = frame_hash ${change} WHERE projection = 'stats-markets'`)
      await pool.query(`UPDATE candles SET trades = trades ${change} WHERE period = '1M'`)
    }
    await another('+ 1')
    const other = start('stats-other', { ARCHIVE_DIR: join(directory, 'archive'), LOG_LEVEL: 'fatal' })
    await eventually(async () => {
      const { candles } = await live(1, { read: 'candles', instrument: 'CCC-USD' })
      const months = candles.filter(([index]) => INTERVALS[index] === '1M')
      assert.deepEqual(months.at(-1)?.[1], gathered('1M', secondsOf('CCC-USD')).map(lineOf).at(-1))
    }, WAIT_MS_MAX)
    await end(other, 'SIGTERM')
    await another('- 1')
  })

  describe('are asked for', () => {
    before(async () => {
      start('stats-asked')
      await eventually(progress, WAIT_MS_MAX)
    })

    const candles = async (rest: Partial<Extract<StatsQuery, { query: 'candles' }>>) =>
      (await query({ query: 'candles', instrument: 'AAA-USD', interval: '1h', limit: 1_000, fill: false, ...rest }))
        .candles

    it('by their time, the last ones first of all', async () => {
      const all = gathered('1h', secondsOf('AAA-USD')).map(lineOf)
      assert(all.length > 30)
      assert.deepEqual(await candles({}), all)
      assert.deepEqual(await candles({ limit: 5 }), all.slice(-5))
      const [startS = 0, endS = 0] = [all[7]?.[0], all[20]?.[0]]
      assert.deepEqual(await candles({ startS, endS }), all.slice(7, 20))
      assert.deepEqual(await candles({ startS, limit: 3 }), all.slice(7, 10))
      assert.deepEqual(await candles({ endS, limit: 3 }), all.slice(17, 20))
      assert.deepEqual(await candles({ startS: startS + 1, limit: 1 }), all.slice(8, 9))
      assert.deepEqual(await candles({ startS: endS, endS: startS }), [])
      assert.deepEqual(await candles({ instrument: 'ZZZ-USD' }), [])
    })

    it('with those in between in which nothing was traded', async () => {
      const all = new Map(gathered('1h', secondsOf('AAA-USD')).map((one) => [one.startS, lineOf(one)]))
      const [firstS = 0] = all.keys()
      const startS = firstS - 7_200
      const filled = await candles({ startS, fill: true, limit: 300 })
      assert.equal(filled[0]?.[0], firstS)
      assert.equal(filled.length, 300)
      let last: CandleLine | undefined
      for (const candle of filled) {
        const ticks = last?.[4] ?? 0
        assert.deepEqual(candle, all.get(candle[0]) ?? [candle[0], ticks, ticks, ticks, ticks, '0', '0', 0])
        if (last !== undefined) assert.equal(candle[0], nextStart('1h', last[0]))
        last = candle
      }
      const newest = await candles({ fill: true, limit: 24 })
      assert.equal(newest.length, 24)
      const nowS = Date.now() / 1_000
      assert((newest.at(-1)?.[0] ?? 0) <= nowS && (newest.at(-1)?.[0] ?? 0) > nowS - 7_200)
      const middle = await candles({ startS: firstS + 3_600 * 50, fill: true, limit: 1 })
      assert.deepEqual(middle, [filled[50]])
      assert.deepEqual(await candles({ startS: Math.ceil(nowS) + 7_200, fill: true }), [])
    })

    it('of a member, page by page', async () => {
      const memberId = 7
      const keys = [20_003, 20_002, 20_002, 20_002, 20_001].map((day, index) => [day, `A${index}A-USD`] as const)
      await pool.query('INSERT INTO member_days VALUES ?', [
        keys.map(([day, instrument], index) => [memberId, day, instrument, index, '5', '6', '7', '8']),
      ])
      const all = async (rest: object, limit: number): Promise<unknown[]> => {
        const found: MemberDay[] = []
        let cursor: string | undefined
        do {
          const page = await query({ query: 'member', memberId, limit, ...rest, ...(cursor && { cursor }) })
          found.push(...page.days)
          cursor = page.cursor
        } while (cursor !== undefined)
        return found.map(({ day, instrument }) => [day, instrument])
      }
      for (const limit of [1, 2, 3, 5, 9]) assert.deepEqual(await all({}, limit), keys)
      assert.deepEqual(await all({ fromDay: 20_002, toDay: 20_003 }, 2), keys.slice(1, 4))
      assert.deepEqual(await all({ instrument: 'A4A-USD' }, 2), keys.slice(4))
      assert.deepEqual((await query({ query: 'member', memberId, limit: 1 })).days, [
        {
          day: 20_003,
          instrument: 'A0A-USD',
          trades: 0,
          lots: '5',
          quoteMinor: '6',
          baseFeeMinor: '7',
          quoteFeeMinor: '8',
        },
      ])
      assert.deepEqual((await query({ query: 'member', memberId: 1, limit: 9 })).days, [])
    })

    it('and refused where the question is none', async () => {
      const candlesOf = { query: 'candles', instrument: 'AAA-USD', interval: '1h', limit: 5, fill: false }
      const refusals: [object, string][] = [
        [{}, 'query_invalid'],
        [{ ...candlesOf, interval: '2m' }, 'query_invalid'],
        [{ ...candlesOf, limit: 0 }, 'query_invalid'],
        [{ ...candlesOf, limit: 1_001 }, 'query_invalid'],
        [{ ...candlesOf, startS: -1 }, 'query_invalid'],
        [{ ...candlesOf, startS: 0.5 }, 'query_invalid'],
        [{ query: 'member', memberId: 1, limit: 501 }, 'query_invalid'],
        [{ query: 'member', memberId: 1, limit: 5, cursor: '1.x' }, 'cursor_invalid'],
        [{ query: 'member', memberId: 1, limit: 5, barrier: { slot: 0, sequence: 1_000_000 } }, 'projection_behind'],
      ]
      for (const [request, code] of refusals)
        await assert.rejects(callRpc(nats, Rpc.statsQuery, request, 5_000), { code })
    })
  })

  it('lose candles of a second that are too old, and nothing else', async () => {
    const count = async (condition: string) =>
      Number((await pool.query<Row[]>(`SELECT COUNT(*) AS count FROM candles WHERE ${condition}`))[0][0]?.count)
    const nowS = Math.floor(Date.now() / 1_000)
    const old = `period = '1s' AND start_s < ${nowS - 48 * 3_600}`
    const [all, gone] = [await count('TRUE'), await count(old)]
    assert(gone > 0 && gone < (await count("period = '1s'")))
    assert.equal(await removeOldSeconds({ pool, hours: 48, nowS: () => nowS }), gone)
    assert.deepEqual([await count('TRUE'), await count(old)], [all - gone, 0])
  })

  function membersOf(slot: number): number[] {
    return Array.from({ length: 60 }, (_, id) => 1_000 + id).filter((id) => accountSlotOf(id, SLOTS) === slot)
  }
})

const lineOfRow = (row: Row): CandleLine => [
  Number(row.start_s),
  Number(row.open_ticks),
  Number(row.high_ticks),
  Number(row.low_ticks),
  Number(row.close_ticks),
  String(row.lots),
  String(row.tick_lots),
  Number(row.trades),
]

/** Each row of a member's days as texts: looked up fill by fill. */
function expectedDays({ events }: SlotScenario): string[][] {
  const fills = events.flatMap((event) =>
    event.type === 'OrderChanged' ? event.fills.map((fill) => ({ fill, order: event.order })) : [],
  )
  const days = Map.groupBy(
    fills,
    ({ order }) => `${order.memberId} ${Math.floor(order.updatedAtUs / DAY_US)} ${order.instrument}`,
  )
  return [...days]
    .map(([key, of]) => {
      const sum = (value: (one: (typeof of)[number]) => string | number): string =>
        of.reduce((total, one) => total + BigInt(value(one)), 0n).toString()
      return [
        ...key.split(' '),
        String(of.length),
        sum(({ fill }) => fill.lots),
        sum(({ fill }) => fill.quoteMinor),
        sum(({ fill, order }) => (order.side === 'buy' ? fill.feeMinor : 0)),
        sum(({ fill, order }) => (order.side === 'sell' ? fill.feeMinor : 0)),
      ]
    })
    .sort((a, b) => Number(a[0]) - Number(b[0]) || Number(a[1]) - Number(b[1]))
}
