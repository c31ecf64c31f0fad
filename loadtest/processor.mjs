// What artillery's virtual users do. Plain JavaScript: artillery may run on an older Node.
import { spawnSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { projectDirectory, readMembers } from './members-file.mjs'

const ORDERS_PER_SECOND_OF_USER = 5

/** Middle price and band in ticks, lots; pairs of a buy and a sell at one price, so that about half of the orders match. */
const MARKETS = [
  { instrument: 'BTC-USDT', middle: 5_000_000, band: 500, priceDecimals: 2, lots: 1_000, amountDecimals: 5 },
  { instrument: 'ETH-USDT', middle: 300_000, band: 200, priceDecimals: 2, lots: 1_000, amountDecimals: 4 },
  { instrument: 'ETH-BTC', middle: 6_000, band: 50, priceDecimals: 5, lots: 100, amountDecimals: 3 },
]

const tokens = shuffled(members().tokens)
const run = `${Date.now().toString(36)}${process.pid.toString(36)}${Math.random().toString(36).slice(2, 6)}`
let count = 0
let pair = newPair()

/** Where each second's figures go, one JSON line each, for the report; none without it. Artillery's own come every 10 s. */
const seriesPath = process.env.LOADTEST_SERIES
/** Answers of the current second: latencies in milliseconds from when each order was due, and how many were no 201. */
let second = { atMs: 0, latenciesMs: [], failed: 0 }

/** Waits until the user's next order is due, then makes it: the members take turns. */
export async function sendOrder(request, context) {
  const { vars } = context
  vars.dueMs = vars.dueMs === undefined ? performance.now() : vars.dueMs + 1000 / ORDERS_PER_SECOND_OF_USER
  const waitMs = vars.dueMs - performance.now()
  if (waitMs > 0) await sleep(waitMs)
  const token = tokens[count % tokens.length]
  if (count % 2 === 0) pair = newPair()
  const side = pair.buysFirst === (count % 2 === 0) ? 'buy' : 'sell'
  const { instrument, price, amount } = pair
  request.headers = { ...request.headers, authorization: `Bearer ${token}` }
  request.json = { instrument, side, price, amount, clientOrderId: `load-${run}-${count}` }
  count++
}

// Artillery takes a function that is not async for one with a callback.
export async function checkAnswer(_request, response, context, events) {
  const isAccepted = response.statusCode === 201
  note(performance.now() - context.vars.dueMs, isAccepted)
  if (isAccepted) {
    const isResting = response.body.includes('"status":"new"')
    events.emit('counter', isResting ? 'orders.resting' : 'orders.matched_at_once', 1)
    return
  }
  const code = /"code":"([a-z_]+)"/.exec(String(response.body))?.[1] ?? 'no code'
  events.emit('error', `HTTP ${response.statusCode} ${code}`)
}

function note(latencyMs, isAccepted) {
  if (seriesPath === undefined) return
  const atMs = Math.floor(Date.now() / 1000) * 1000
  if (atMs !== second.atMs) {
    writeSecond()
    second = { atMs, latenciesMs: [], failed: 0 }
  }
  second.latenciesMs.push(Math.round(latencyMs * 10) / 10)
  if (!isAccepted) second.failed++
}

function writeSecond() {
  if (seriesPath !== undefined && second.atMs > 0) appendFileSync(seriesPath, `${JSON.stringify(second)}\n`)
}
process.once('exit', writeSecond)

/** Those of `npm run seed`, which is run when there are none. */
function members() {
  const known = readMembers()
  if (known !== undefined) return known
  const args = [join(projectDirectory, 'launcher', 'run.mjs'), join(projectDirectory, 'loadtest', 'seed.ts')]
  const { status } = spawnSync(process.execPath, args, { stdio: 'inherit' })
  const seeded = readMembers()
  if (status === 0 && seeded !== undefined) return seeded
  throw new Error('There are no members. Start the exchange (npm start), then run: npm run seed')
}

function newPair() {
  const market = MARKETS[Math.floor(Math.random() * MARKETS.length)] ?? MARKETS[0]
  const ticks = market.middle + Math.floor((Math.random() * 2 - 1) * market.band)
  const lots = Math.floor(market.lots * (1 + Math.random() * 8.99))
  return {
    instrument: market.instrument,
    price: decimal(ticks, market.priceDecimals),
    amount: decimal(lots, market.amountDecimals),
    buysFirst: Math.random() < 0.5,
  }
}

function decimal(units, decimals) {
  const digits = String(units).padStart(decimals + 1, '0')
  return `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
}

function shuffled(list) {
  const order = [...list]
  for (let at = order.length - 1; at > 0; at--) {
    const other = Math.floor(Math.random() * (at + 1))
    ;[order[at], order[other]] = [order[other], order[at]]
  }
  return order
}
