import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import { createPool, type Row } from '#mesh/mysql.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { auditMesh } from '#services/audit/audit-mesh.ts'
import type { Client } from './client.ts'

/** One request and what came of it. */
export interface Answered {
  readonly what: 'order' | 'cancel' | 'read' | 'history'
  readonly sentAtMs: number
  readonly answeredAtMs: number
  /** 0: the connection broke, or nobody answered. */
  readonly status: number
  readonly code: string
  readonly clientOrderId: string | undefined
  readonly orderId: string | undefined
}

const MEMBERS = 8
const ANSWER_MS_MAX = 30_000
const TICK_MS = 10

/**
 * Orders, cancels and reads at a constant rate, sent whether answers come or not, by members with money enough. Every order
 * has a clientOrderId of its own, and nothing is sent twice.
 */
export class SteadyLoad {
  readonly answered: Answered[] = []
  readonly #members: readonly Client[]
  readonly #perSecond: number
  readonly #name: string
  readonly #waiting = new Set<Promise<void>>()
  readonly #open: { readonly client: Client; readonly orderId: string }[] = []
  readonly #run: Promise<void>
  #count = 0
  #isOver = false

  private constructor(members: readonly Client[], perSecond: number, name: string) {
    this.#members = members
    this.#perSecond = perSecond
    this.#name = name
    this.#run = this.#send()
  }

  static async start(
    nats: NatsConnection,
    anyone: Client,
    admin: { readonly email: string; readonly password: string },
    perSecond: number,
    name = 'steady',
  ): Promise<SteadyLoad> {
    const operator = anyone.as((await anyone.ok('POST', '/sessions', admin)).accessToken)
    const members = await seedMembers(nats, { count: MEMBERS })
    for (const { memberId } of members) {
      for (const [asset, amount] of [
        ['BTC', '1000'],
        ['USDT', '1000000'],
      ]) {
        const body = { reference: `${asset}-${memberId}`, memberId: String(memberId), asset, amount }
        await operator.ok('POST', '/admin/deposits', body)
      }
    }
    return new SteadyLoad(
      members.map(({ accessToken }) => anyone.as(accessToken)),
      perSecond,
      name,
    )
  }

  /** Ends when everything that was sent is answered. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#run
    await Promise.all(this.#waiting)
  }

  /** What is left in the book goes, so that others find it empty. */
  async cancelAll(): Promise<void> {
    for (const member of this.#members) await member.ok('DELETE', '/orders')
  }

  failed(): readonly Answered[] {
    return this.answered.filter(({ status }) => status !== 200 && status !== 201)
  }

  /** What was not done, at most ten of it, for the message of an assertion. */
  failures(): readonly string[] {
    return this.failed()
      .slice(0, 10)
      .map(({ what, status, code, sentAtMs, answeredAtMs }) => {
        const tookMs = Math.round(answeredAtMs - sentAtMs)
        return `${what}: ${status} ${code} after ${tookMs} ms, sent at ${Math.round(sentAtMs)}`
      })
  }

  /** The longest time without a new order accepted, between these two moments. */
  longestPauseMs(fromMs: number, toMs: number): number {
    const times = this.answered
      .filter(({ what, status }) => what === 'order' && status === 201)
      .map(({ answeredAtMs }) => answeredAtMs)
      .filter((atMs) => atMs > fromMs && atMs < toMs)
      .sort((a, b) => a - b)
    let longest = 0
    let before = fromMs
    for (const atMs of [...times, toMs]) {
      longest = Math.max(longest, atMs - before)
      before = atMs
    }
    return longest
  }

  /** Every order that was accepted is in MySQL once under its id, none that was refused is, and the audit finds all in order. */
  async check(mesh: { readonly natsUrl: string; readonly mysqlUrl: string }): Promise<{ readonly accepted: number }> {
    const { difference } = await auditMesh({ ...mesh, rate: 0, waitMs: 20_000 })
    assert.equal(difference, undefined, `${difference?.check} ${difference?.slot} ${difference?.message}`)
    const pool = createPool(mesh.mysqlUrl, { connectionsMax: 1 })
    try {
      const [rows] = await pool.query<Row[]>(
        'SELECT client_order_id, order_id FROM orders WHERE client_order_id LIKE ?',
        [`${this.#name}-%`],
      )
      const stored = new Map(rows.map((row) => [String(row.client_order_id), String(row.order_id)]))
      assert.equal(stored.size, rows.length, 'each order is there once')
      const orders = this.answered.filter(({ what }) => what === 'order')
      for (const { clientOrderId = '', orderId, status, code } of orders) {
        if (status === 201) assert.equal(stored.get(clientOrderId), orderId, `${clientOrderId} was accepted`)
        // Of these the gateway says that they were not taken, and will not be.
        const isRefused = status === 429 || (status === 503 && code !== '')
        if (isRefused) assert.equal(stored.get(clientOrderId), undefined, `${clientOrderId} was refused with ${code}`)
      }
      return { accepted: orders.filter(({ status }) => status === 201).length }
    } finally {
      await pool.end()
    }
  }

  async #send(): Promise<void> {
    const beganMs = performance.now()
    while (!this.#isOver) {
      const due = ((performance.now() - beganMs) / 1000) * this.#perSecond
      while (this.#count < due) this.#track(this.#one(this.#count++))
      await sleep(TICK_MS)
    }
  }

  #track(work: Promise<void>): void {
    this.#waiting.add(work)
    void work.finally(() => this.#waiting.delete(work))
  }

  #one(n: number): Promise<void> {
    const client = this.#members[n % this.#members.length]
    assert(client)
    switch (Math.floor(n / this.#members.length) % 5) {
      case 0:
      case 1:
      case 2: {
        const side = n % 2 === 0 ? 'buy' : 'sell'
        const price = String(100 + (side === 'buy' ? 1 : -1) * (n % 3) - (side === 'buy' ? 1 : -1))
        const clientOrderId = `${this.#name}-${n}`
        const body = { instrument: 'BTC-USDT', side, price, amount: '0.01', clientOrderId }
        return this.#ask('order', client, 'POST', '/order', body)
      }
      case 3: {
        const mine = this.#open.findIndex((one) => one.client === client)
        const [order] = mine < 0 ? [] : this.#open.splice(mine, 1)
        if (order !== undefined) return this.#ask('cancel', client, 'DELETE', `/order/${order.orderId}`)
        return this.#ask('read', client, 'GET', '/accounts')
      }
      default:
        return n % 2 === 0
          ? this.#ask('read', client, 'GET', '/accounts')
          : this.#ask('history', client, 'GET', '/orders?limit=5')
    }
  }

  async #ask(what: Answered['what'], client: Client, method: string, path: string, body?: object): Promise<void> {
    const sentAtMs = performance.now()
    const late = sleep(ANSWER_MS_MAX, undefined, { ref: false })
    const answer = await Promise.race([client.call(method, path, body).catch(String), late])
    const { status, body: answered } =
      typeof answer === 'object' ? answer : { status: 0, body: { code: answer ?? 'no answer' } }
    const orderId: string | undefined = status === 201 ? answered.id : undefined
    // Sells of the book's own side rest for a while; what was executed meanwhile cannot be cancelled, which is no failure.
    const isGone = what === 'cancel' && status === 409 && answered.code === 'order_not_open'
    if (orderId !== undefined && answered.status === 'new') this.#open.push({ client, orderId })
    this.answered.push({
      what,
      sentAtMs,
      answeredAtMs: performance.now(),
      status: isGone ? 200 : status,
      code: String(answered?.code ?? ''),
      clientOrderId: (body as { clientOrderId?: string } | undefined)?.clientOrderId,
      orderId,
    })
  }
}
