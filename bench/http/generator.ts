/**
 * The load generator: a process of its own that takes one task after the other from its parent and sends back what it saw.
 */
import assert from 'node:assert/strict'
import { percentile } from '../support/statistics.ts'
import { Connection, type Response } from './connection.ts'
import { createWorkload } from './workload.ts'

export interface Task {
  /** Prefix of the clientOrderIds, new for each task. */
  readonly name: string
  readonly addresses: readonly { readonly host: string; readonly port: number }[]
  /** Access tokens of the members. */
  readonly tokens: readonly string[]
  readonly connections: number
  /** Orders per second, sent whether answers come or not; absent: each connection sends when its answer has come. */
  readonly perSecond?: number
  /** Not counted, before what is counted. */
  readonly warmupMs: number
  readonly countedMs: number
  readonly seed: number
  /** A member of his own who sends this many orders per second, to be refused. */
  readonly greedy?: { readonly token: string; readonly perSecond: number }
}

export type Report =
  | { readonly kind: 'counting' }
  | { readonly kind: 'counted' }
  | { readonly kind: 'failed'; readonly message: string }
  | { readonly kind: 'done'; readonly result: Result }

export interface Result {
  /** Answers with status 201 within the counted time. */
  readonly answered: number
  readonly countedMs: number
  /** From sending (or from when it was due) to the answer, of all that were answered within the counted time. */
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  /** The id that order n was given, over the whole task; 0 where it was not accepted. */
  readonly orderIds: Float64Array
  /** Answers that say that the order was filled at once, at least in part, over the whole task. */
  readonly matched: number
  /** Answers other than 201, by status and code, over the whole task. */
  readonly others: Readonly<Record<string, number>>
  readonly bodyBytesMean: number
  /** The same of the greedy member's orders. */
  readonly greedyIds: Float64Array
  readonly greedyRefused: number
}

/** Longest wait for the last answers. */
const LAST_MS_MAX = 15_000
const GREEDY_TICK_MS = 100
const GREEDY_CONNECTIONS = 8

process.on('message', (task: Task) => {
  run(task).then(
    (result) => tell({ kind: 'done', result }),
    (error: unknown) => tell({ kind: 'failed', message: error instanceof Error ? (error.stack ?? '') : String(error) }),
  )
})
process.on('disconnect', () => process.exit())

function tell(report: Report): void {
  process.send?.(report)
}

function run(task: Task): Promise<Result> {
  return new Promise((resolve, reject) => {
    void start(task, resolve, reject).catch(reject)
  })
}

async function start(task: Task, resolve: (result: Result) => void, reject: (error: Error) => void): Promise<void> {
  const next = createWorkload(task.name, task.tokens.length, task.seed)
  const heads = task.tokens.map((token) => headOf(token))
  const orderIds: number[] = []
  const others: Record<string, number> = {}
  const latencies: number[] = []
  let sent = 0
  let inFlight = 0
  let matched = 0
  let bodyBytes = 0
  let countFromMs = Number.POSITIVE_INFINITY
  let countToMs = Number.POSITIVE_INFINITY
  let isOver = false
  let finish = (): void => {}

  const send = (connection: Connection, dueMs: number): void => {
    const { member, body } = next(sent)
    connection.order = sent
    connection.sentAtMs = dueMs
    orderIds.push(0)
    sent++
    inFlight++
    connection.send(`${heads[member]}${body.length}\r\n\r\n${body}`)
  }
  const onResponse = ({ status, text, bodyAt }: Response, connection: Connection): void => {
    const nowMs = performance.now()
    inFlight--
    if (status === 201) {
      orderIds[connection.order] = idIn(text, bodyAt)
      if (isMatched(text, bodyAt)) matched++
      if (nowMs >= countFromMs && nowMs < countToMs) {
        latencies.push(nowMs - connection.sentAtMs)
        bodyBytes += text.length - bodyAt
      }
    } else count(others, status, text, bodyAt)
    onFree(connection, nowMs)
    if (isOver && inFlight === 0) finish()
  }

  const due: number[] = []
  let dueAt = 0
  const idle: Connection[] = []
  const onFree = (connection: Connection, nowMs: number): void => {
    if (task.perSecond === undefined) {
      if (!isOver) send(connection, nowMs)
    } else if (dueAt < due.length) send(connection, due[dueAt++] ?? nowMs)
    else idle.push(connection)
  }

  const connections = await Promise.all(
    Array.from({ length: task.connections }, (_, index) => {
      const address = task.addresses[index % task.addresses.length]
      assert(address)
      return Connection.open(address, onResponse, reject)
    }),
  )
  const greedy = task.greedy === undefined ? undefined : await startGreedy(task, task.greedy, others, reject)

  const beganMs = performance.now()
  countFromMs = beganMs + task.warmupMs
  countToMs = countFromMs + task.countedMs
  setTimeout(() => tell({ kind: 'counting' }), task.warmupMs)

  let pace: NodeJS.Timeout | undefined
  if (task.perSecond === undefined) for (const connection of connections) send(connection, performance.now())
  else {
    idle.push(...connections)
    const gapMs = 1000 / task.perSecond
    let nextDueMs = beganMs
    pace = setInterval(() => {
      const nowMs = performance.now()
      while (nextDueMs <= nowMs && nextDueMs < countToMs) {
        // In turn, so that none is quiet for so long that the server ends it.
        const connection = idle.shift()
        if (connection === undefined) due.push(nextDueMs)
        else send(connection, nextDueMs)
        nextDueMs += gapMs
      }
    }, 1)
  }

  setTimeout(() => {
    clearInterval(pace)
    tell({ kind: 'counted' })
    isOver = true
    const late = setTimeout(
      () => reject(new Error(`${inFlight} orders have no answer after ${LAST_MS_MAX} ms.`)),
      LAST_MS_MAX,
    )
    finish = () => {
      clearTimeout(late)
      for (const connection of connections) connection.close()
      const sorted = Float64Array.from(latencies).sort()
      const result = {
        answered: sorted.length,
        countedMs: task.countedMs,
        p50Ms: percentile(sorted, 0.5),
        p99Ms: percentile(sorted, 0.99),
        maxMs: sorted.at(-1) ?? 0,
        orderIds: Float64Array.from(orderIds),
        matched,
        others,
        bodyBytesMean: sorted.length === 0 ? 0 : Math.round(bodyBytes / sorted.length),
      }
      void (greedy?.() ?? Promise.resolve(NOBODY)).then((seen) => resolve({ ...result, ...seen }))
    }
    if (inFlight === 0) finish()
  }, task.warmupMs + task.countedMs)
}

const NOBODY = { greedyIds: new Float64Array(), greedyRefused: 0 }

/** One member sends more than he may, on connections of his own; some orders are accepted, the others refused. */
async function startGreedy(
  task: Task,
  { token, perSecond }: { readonly token: string; readonly perSecond: number },
  others: Record<string, number>,
  onFailure: (error: Error) => void,
): Promise<() => Promise<Pick<Result, 'greedyIds' | 'greedyRefused'>>> {
  const next = createWorkload(`${task.name}g`, 1, task.seed)
  const head = headOf(token)
  const address = task.addresses[0]
  assert(address)
  const ids: number[] = []
  const idle: Connection[] = []
  let refused = 0
  let wanted = 0
  let ended = (): void => {}
  const sendWanted = (): void => {
    for (; wanted > 0; wanted--) {
      const connection = idle.shift()
      if (connection === undefined) return
      const { body } = next(ids.length)
      connection.order = ids.length
      ids.push(0)
      connection.send(`${head}${body.length}\r\n\r\n${body}`)
    }
  }
  const onResponse = ({ status, text, bodyAt }: Response, connection: Connection): void => {
    if (status === 201) ids[connection.order] = idIn(text, bodyAt)
    else if (status === 429) refused++
    else count(others, status, text, bodyAt)
    idle.push(connection)
    sendWanted()
    if (idle.length === GREEDY_CONNECTIONS) ended()
  }
  for (let opened = 0; opened < GREEDY_CONNECTIONS; opened++) {
    idle.push(await Connection.open(address, onResponse, onFailure))
  }
  const connections = [...idle]
  const timer = setInterval(() => {
    wanted = Math.ceil((perSecond * GREEDY_TICK_MS) / 1000)
    sendWanted()
  }, GREEDY_TICK_MS)
  return async () => {
    clearInterval(timer)
    wanted = 0
    if (idle.length < GREEDY_CONNECTIONS) {
      await new Promise<void>((resolve) => {
        ended = resolve
      })
    }
    for (const connection of connections) connection.close()
    return { greedyIds: Float64Array.from(ids), greedyRefused: refused }
  }
}

/** Everything of a request but the length of its body, and the body. */
const headOf = (token: string): string =>
  `POST /api/v3/order HTTP/1.1\r\nhost: exchange.local\r\nauthorization: Bearer ${token}\r\ncontent-type: application/json\r\ncontent-length: `

const ID = '"id":"'
function idIn(text: string, bodyAt: number): number {
  const at = text.indexOf(ID, bodyAt)
  if (at < 0) return 0
  const from = at + ID.length
  return Number(text.slice(from, text.indexOf('"', from)))
}

const STATUS = '"status":"'
/** An order that found nobody is `new`. */
function isMatched(text: string, bodyAt: number): boolean {
  const at = text.indexOf(STATUS, bodyAt)
  return at >= 0 && text.charCodeAt(at + STATUS.length) !== 110
}

const CODE = /"code":"([a-z_]+)"/
function count(others: Record<string, number>, status: number, text: string, bodyAt: number): void {
  const key = `${status} ${CODE.exec(text.slice(bodyAt))?.[1] ?? ''}`
  others[key] = (others[key] ?? 0) + 1
}
