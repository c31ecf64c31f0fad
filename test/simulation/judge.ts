import { chainHash } from '#mesh/domain/chain.ts'
import { encodeFrame, type Frame, parseFrame } from '#mesh/frames.ts'
import type { Rules } from '#mesh/machine/rules.ts'
import { headerOf, SlotFold } from '#mesh/machine/slot.ts'
import type { AccountEdgeCommand, AccountEvent } from '#mesh/protocol/accounts.ts'
import { type Fill, isOpen, type OrderState } from '#mesh/protocol/common.ts'
import { decodeItem } from '#mesh/protocol/compact.ts'
import type { DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import {
  EVENTS_STREAM,
  framesSubject,
  Log,
  pairSubject,
  STREAM_OF_LOG,
  slotFilter,
  sourceName,
} from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import type { AccountsState } from '#services/accounts/domain/accounts-state.ts'
import { createDefinitionsRules } from '#services/accounts/domain/definitions-rules.ts'
import { imbalances } from '#services/accounts/testing/mesh.ts'
import { engineRules } from '#services/engine/domain/rules.ts'
import { differences, type Observed } from '../support/compare-with-naive.ts'
import { createNaiveExchange, type NaiveExchange } from '../support/naive-exchange.ts'
import type { Members, Remembered } from './members.ts'
import { ALL_SLOTS, type SimulatedMesh } from './mesh.ts'
import { SHAPE } from './programs.ts'
import { matches, type StoredMessage } from './server.ts'

/** How a process may give up: for the bus, or because another has taken over. Anything else is a fault of ours. */
const GOOD_REASONS =
  /^(StepDown|TimeoutError|Unanswered|StoreUnknown|StoreRefused|RpcError)|was taken by another instance|cleared; recovering|has no owner; recovering|No ack/

const isGoodReason = (error: Error): boolean => GOOD_REASONS.test(`${error.name}: ${error.message}`)

/** Everything that is wrong with what is stored, with what members were told, and with who told it. Empty when nothing is. */
export function judge(mesh: SimulatedMesh, members: Members): string[] {
  const wrongs = [...members.wrongs, ...mesh.errors, ...mesh.snapshots.wrongs]
  for (const { process, error } of mesh.failures) {
    if (!isGoodReason(error)) {
      wrongs.push(`${process} gave up: ${error.stack?.split('\n').slice(0, 3).join(' ')}`)
    }
  }
  for (const process of mesh.processes()) wrongs.push(...process.errors)
  const slots = ALL_SLOTS.map(([log, slot]) => readSlot(mesh, log, slot))
  for (const slot of slots) wrongs.push(...slot.wrongs)
  wrongs.push(...judgePairs(slots))
  wrongs.push(...judgeStandbys(mesh, slots))
  if (wrongs.length > 0) return wrongs

  const naive = naiveOf(slots)
  wrongs.push(...differences(naive, observedOf(slots)))
  wrongs.push(...judgeMoney(slots, members.history))
  wrongs.push(...judgeOrders(naive, slots, members.history))
  wrongs.push(...judgeRows(mesh, slots))
  return wrongs
}

/**
 * After a power cut has taken the end of what was stored: a slot that had read it halts, and says so. All others are as their
 * logs say, and have from each other what they sent.
 */
export function judgeAfterLoss(mesh: SimulatedMesh): string[] {
  const wrongs: string[] = []
  for (const { process, error } of mesh.failures) {
    // A standby that has read what is gone differs from what is there now.
    if (error.name === 'StandbyDiffers') continue
    if (!isGoodReason(error)) wrongs.push(`${process} gave up: ${error.stack?.split('\n').slice(0, 3).join(' ')}`)
  }
  const halted = mesh.haltedSlots()
  const slots = ALL_SLOTS.filter(([log, slot]) => !halted.has(`${log}.${slot}`)).map(([log, slot]) =>
    readSlot(mesh, log, slot),
  )
  for (const slot of slots) wrongs.push(...slot.wrongs)
  wrongs.push(...judgePairs(slots))
  for (const slot of slots) {
    if (slot.log !== Log.accounts) continue
    for (const line of imbalances(slot.fold.state as AccountsState)) wrongs.push(`the books do not balance: ${line}`)
  }
  return wrongs
}

interface JudgedSlot {
  readonly log: Log
  readonly slot: number
  readonly name: string
  readonly messages: readonly StoredMessage[]
  readonly fold: SlotFold<unknown, unknown, unknown>
  readonly frames: readonly Frame<unknown>[]
  /** Each item that the log brought for the first time, in the log's order. */
  readonly items: readonly { readonly source: string; readonly text: string }[]
  /** What each source has sent, by its name. */
  readonly received: ReadonlyMap<string, readonly string[]>
  readonly wrongs: readonly string[]
}

const rulesOf = (log: Log): Rules<unknown, unknown, unknown> => {
  if (log === Log.accounts) return createAccountsRules(SHAPE) as Rules<unknown, unknown, unknown>
  if (log === Log.markets) return engineRules as Rules<unknown, unknown, unknown>
  return createDefinitionsRules(SHAPE) as Rules<unknown, unknown, unknown>
}

/** Reads a slot's log anew from its beginning, and holds every stored frame against it, byte by byte. */
function readSlot(mesh: SimulatedMesh, log: Log, slot: number): JudgedSlot {
  const filter = slotFilter(log, slot)
  const messages = mesh.server.stream(STREAM_OF_LOG[log]).messages.filter(({ subject }) => matches(filter, subject))
  const name = sourceName(log, slot)
  const wrongs: string[] = []
  const stored = mesh.server
    .stream(EVENTS_STREAM)
    .messages.filter(({ subject }) => subject === framesSubject(log, slot))
  const fold = new SlotFold(rulesOf(log), slot)
  fold.onAlarm = (code, details) => wrongs.push(`${name}: ${code} ${JSON.stringify(details)}`)
  const cursor = new Cursor(fold, messages)
  const frames = stored.map(({ data }) => parseFrame<unknown>(data))
  try {
    for (const [index, frame] of stored.entries()) {
      const { inFrom, inTo } = frames[index]?.header ?? { inFrom: [0, 0], inTo: [0, 0] }
      if (!cursor.isBehind(inFrom)) {
        wrongs.push(
          `${name}: frame ${frame.seq} tells again what a frame before it has told, from ${inFrom.join('-')} on`,
        )
        break
      }
      const found = cursor.frameTo(inTo)
      if (found !== frame.text) {
        wrongs.push(`${name}: frame ${frame.seq} is not what its log says: ${difference(found, frame.text)}`)
        break
      }
    }
    if (wrongs.length === 0 && !cursor.isAtEnd()) wrongs.push(`${name}: its last frame ends before its log does`)
  } catch (error) {
    wrongs.push(`${name}: ${String(error)}`)
  }
  return { log, slot, name, messages, fold, frames, wrongs, ...itemsOf(name, messages, wrongs) }
}

/** Goes through a log in steps that end where frames do. */
class Cursor {
  readonly #fold: SlotFold<unknown, unknown, unknown>
  readonly #messages: readonly StoredMessage[]
  #at = 0
  #from = 0

  constructor(fold: SlotFold<unknown, unknown, unknown>, messages: readonly StoredMessage[]) {
    this.#fold = fold
    this.#messages = messages
  }

  isAtEnd(): boolean {
    return this.#at === this.#messages.length
  }

  /** Whether it has not read the item at this place yet. */
  isBehind([sequence, item]: readonly [number, number]): boolean {
    const message = this.#messages[this.#at]
    return message !== undefined && (message.seq < sequence || (message.seq === sequence && this.#from <= item))
  }

  /** The frame over everything from where the last one ended, as it should be stored. */
  frameTo([sequence, item]: readonly [number, number]): string {
    const lines: string[] = []
    let inFrom: [number, number] | undefined
    let header = headerOf(this.#fold.takeDraft())
    for (;;) {
      const message = this.#messages[this.#at]
      if (message === undefined || message.seq > sequence) break
      if (message.seq === sequence && this.#from > item) break
      const until = message.seq === sequence ? item : Number.MAX_SAFE_INTEGER
      const next = this.#fold.apply({ ...logMessageOf(message) }, this.#from, until)
      const draft = this.#fold.takeDraft()
      inFrom ??= draft.inFrom
      lines.push(...draft.eventLines)
      header = headerOf({ ...draft, inFrom })
      if (next < 0) {
        this.#at++
        this.#from = 0
      } else this.#from = next
    }
    return encodeFrame(header, lines)
  }
}

const logMessageOf = (message: StoredMessage) => ({
  sequence: message.seq,
  timeUs: message.timeUs,
  source: sourceOf(message),
  text: message.text,
})

const sourceOf = ({ subject }: StoredMessage): string => {
  const from = subject.indexOf('.from.')
  return from < 0 ? 'cmd' : subject.slice(from + 6)
}

function difference(expected: string, found: string): string {
  let at = 0
  while (expected[at] === found[at]) at++
  return `…${found.slice(Math.max(0, at - 60), at + 60)}… instead of …${expected.slice(Math.max(0, at - 60), at + 60)}…`
}

/** The pairs' counts and chains, worked out once more from nothing but the messages. */
function itemsOf(name: string, messages: readonly StoredMessage[], wrongs: string[]) {
  const items: { source: string; text: string }[] = []
  const received = new Map<string, string[]>()
  const chains = new Map<string, number>()
  for (const message of messages) {
    const source = sourceOf(message)
    const lines = message.text.split('\n')
    if (source === 'cmd') {
      for (const text of lines) items.push({ source, text })
      continue
    }
    const known = received.get(source) ?? []
    received.set(source, known)
    const { first, before } = JSON.parse(lines[0] ?? '') as { first: number; before: number }
    const fresh = lines.slice(1)
    if (first !== known.length + 1)
      wrongs.push(`${name}: message ${message.seq} of ${source} begins at ${first} after ${known.length}`)
    const chain = chains.get(source) ?? 0
    if (before !== chain) wrongs.push(`${name}: message ${message.seq} of ${source} has another past`)
    chains.set(source, fresh.reduce(chainHash, chain))
    known.push(...fresh)
    for (const text of fresh) items.push({ source, text })
  }
  return { items, received }
}

/** What every slot has sent, by its log, is what the others have in theirs: all of it, once. */
function judgePairs(slots: readonly JudgedSlot[]): string[] {
  const wrongs: string[] = []
  for (const source of slots) {
    for (const target of slots) {
      const sent = source.fold.pairsOut.get(pairSubject(target.log, target.slot, source.name))?.unsent ?? []
      const received = target.received.get(source.name) ?? []
      if (sent.length !== received.length) {
        wrongs.push(`${source.name} has ${sent.length} items for ${target.name}, which has ${received.length}`)
      }
      const other = received.findIndex((text, index) => text !== sent[index])
      if (other >= 0)
        wrongs.push(`${target.name}: item ${other + 1} of ${source.name} is ${received[other]}, not ${sent[other]}`)
    }
  }
  return wrongs
}

/** Each slot has one owner, and every instance has made the same of its log. */
function judgeStandbys(mesh: SimulatedMesh, slots: readonly JudgedSlot[]): string[] {
  const wrongs: string[] = []
  for (const { log, slot, name, fold } of slots) {
    let owners = 0
    for (const instance of mesh.machines) {
      for (const status of instance.parts?.status() ?? []) {
        if (status.log !== log || status.slot !== slot) continue
        if (status.state === 'running') owners++
        if (status.hash !== fold.hash)
          wrongs.push(`${instance.name}: ${name} has hash ${status.hash}, its log says ${fold.hash}`)
      }
    }
    if (owners !== 1) wrongs.push(`${name} has ${owners} owners`)
  }
  return wrongs
}

function eventsOf<Event>(slots: readonly JudgedSlot[], log: Log): Event[] {
  return slots
    .filter((slot) => slot.log === log)
    .flatMap(({ frames }) => frames.flatMap(({ events }) => events as Event[]))
}

/** Told what the markets' logs hold and what money came and went; nothing of what the machines made of it. */
function naiveOf(slots: readonly JudgedSlot[]): NaiveExchange {
  const naive = createNaiveExchange()
  for (const event of eventsOf<DefinitionEvent>(slots, Log.definitions)) {
    if (event.type === 'AssetDefined') naive.defineAsset(event.asset.asset, event.asset.scale)
  }
  for (const slot of slots) {
    if (slot.log !== Log.markets) continue
    for (const { text } of slot.items) naive.apply(decodeItem(text) as MarketItem)
  }
  for (const event of eventsOf<AccountEvent>(slots, Log.accounts)) {
    if (event.type === 'BalanceChanged') naive.credit(event.memberId, event.asset, BigInt(event.amountMinor))
  }
  return naive
}

interface Told {
  /** Every order's last state, those that never reached a market too. */
  readonly orders: ReadonlyMap<number, OrderState>
  readonly rejected: ReadonlySet<number>
  readonly fills: readonly (Fill & { readonly orderId: number })[]
  readonly balances: ReadonlyMap<string, Observed['balances'][number]>
}

/** What the account slots' frames tell. */
function toldOf(slots: readonly JudgedSlot[]): Told {
  const orders = new Map<number, OrderState>()
  const rejected = new Set<number>()
  const fills: (Fill & { orderId: number })[] = []
  const balances = new Map<string, Observed['balances'][number]>()
  for (const event of eventsOf<AccountEvent>(slots, Log.accounts)) {
    if (event.type === 'OrderPlaced' || event.type === 'OrderRejected' || event.type === 'OrderChanged') {
      orders.set(event.order.orderId, event.order)
    }
    if (event.type === 'OrderRejected') rejected.add(event.order.orderId)
    if (event.type === 'OrderChanged')
      for (const fill of event.fills) fills.push({ ...fill, orderId: event.order.orderId })
    if (!('balances' in event)) continue
    const memberId = 'memberId' in event ? event.memberId : event.order.memberId
    for (const [asset, availableMinor, heldMinor] of event.balances) {
      balances.set(`${memberId} ${asset}`, { memberId, asset, availableMinor, heldMinor })
    }
  }
  return { orders, rejected, fills, balances }
}

const accountsOf = (slots: readonly JudgedSlot[]): AccountsState[] =>
  slots.filter(({ log }) => log === Log.accounts).map(({ fold }) => fold.state as AccountsState)

function observedOf(slots: readonly JudgedSlot[]): Observed {
  const { orders, rejected, fills, balances } = toldOf(slots)
  const feesMinor = new Map<string, bigint>()
  for (const state of accountsOf(slots)) {
    for (const books of state.books.assetBooks()) {
      feesMinor.set(books.asset, (feesMinor.get(books.asset) ?? 0n) + books.feesMinor)
    }
  }
  const inMarkets = [...orders.values()].filter(({ orderId }) => !rejected.has(orderId))
  return { orders: inMarkets, fills, balances: [...balances.values()], feesMinor }
}

/** Every slot's books sum to zero, the clearing accounts of all slots too, and what was brought is what is there. */
function judgeMoney(slots: readonly JudgedSlot[], history: readonly Remembered[]): string[] {
  const wrongs: string[] = []
  const clearing = new Map<string, bigint>()
  const owned = new Map<string, bigint>()
  const add = (sums: Map<string, bigint>, asset: string, minor: bigint): void => {
    sums.set(asset, (sums.get(asset) ?? 0n) + minor)
  }
  for (const state of accountsOf(slots)) {
    for (const line of imbalances(state)) wrongs.push(`the books do not balance: ${JSON.stringify(line)}`)
    for (const books of state.books.assetBooks()) {
      for (const minor of [...books.marketsMinor.values(), ...books.transfersMinor.values()])
        add(clearing, books.asset, minor)
      add(owned, books.asset, books.availableMinor + books.heldMinor + books.feesMinor)
    }
  }
  for (const [asset, minor] of clearing)
    if (minor !== 0n) wrongs.push(`the clearing accounts have ${minor} of ${asset}`)

  const brought = new Map<string, bigint>()
  const counted = new Map<string, number>()
  for (const event of eventsOf<AccountEvent>(slots, Log.accounts)) {
    if (event.type !== 'BalanceChanged') continue
    if (event.cause === 'deposit' || event.cause === 'withdrawal') add(brought, event.asset, BigInt(event.amountMinor))
    const kind = event.cause.startsWith('transfer') ? 'transfer' : event.cause === 'deposit' ? 'deposit' : 'withdraw'
    if (event.cause !== 'transfer_in' && event.cause !== 'transfer_returned') {
      counted.set(
        `${kind} ${event.reference} ${event.asset} ${BigInt(event.amountMinor)}`,
        (counted.get(`${kind} ${event.reference} ${event.asset} ${BigInt(event.amountMinor)}`) ?? 0) + 1,
      )
    }
  }
  for (const [asset, minor] of brought) {
    if (owned.get(asset) !== minor) wrongs.push(`there is ${owned.get(asset)} of ${asset}, and ${minor} was brought`)
  }
  const wanted = new Map<string, boolean>()
  for (const past of history) {
    if (past.did !== 'deposit' && past.did !== 'withdraw' && past.did !== 'transfer') continue
    const signed = past.did === 'deposit' ? past.amountMinor : -past.amountMinor
    const key = `${past.did} ${past.reference} ${past.asset} ${signed}`
    const isBooked = 'answer' in past.told && past.told.answer.kind === 'booked'
    wanted.set(key, wanted.get(key) === true || isBooked)
  }
  for (const [key, isBooked] of wanted) {
    const times = counted.get(key) ?? 0
    if (times > 1 || (isBooked && times === 0))
      wrongs.push(`${key} was booked ${times} times${isBooked ? ', and told once' : ''}`)
  }
  for (const key of counted.keys()) if (!wanted.has(key)) wrongs.push(`nobody asked for ${key}`)
  return wrongs
}

/** What members were told of their orders is what became of them. */
function judgeOrders(naive: NaiveExchange, slots: readonly JudgedSlot[], history: readonly Remembered[]): string[] {
  const wrongs: string[] = []
  const { orders, rejected, fills } = toldOf(slots)
  const fillsOf = new Map<string, Fill>(fills.map((fill) => [`${fill.orderId} ${fill.tradeId}`, fill]))
  const idsOf = new Map<string, number[]>()
  for (const { orderId, memberId, clientOrderId, status } of orders.values()) {
    if (clientOrderId === undefined || (rejected.has(orderId) && status === 'rejected')) continue
    const key = `${memberId} ${clientOrderId}`
    idsOf.set(key, [...(idsOf.get(key) ?? []), orderId])
  }
  for (const [key, ids] of idsOf) if (ids.length > 1) wrongs.push(`the order ${key} was placed as ${ids.join(' and ')}`)

  const unaccepted = new Map<string, number>()
  for (const past of history) {
    if (!isAboutOrder(past)) continue
    const { told } = past
    const key = past.did === 'place' ? `${past.memberId} ${past.clientOrderId}` : `${past.memberId} ${past.orderId}`
    if (past.did === 'place') {
      if ('refused' in told && told.refused === 'not_accepted') unaccepted.set(key, told.orderId ?? 0)
      else unaccepted.delete(key)
    }
    if (!('answer' in told)) continue
    const { order: before, fills: toldFills } = told.answer
    const after = orders.get(before.orderId)
    if (after === undefined || after.memberId !== past.memberId) {
      wrongs.push(`order ${before.orderId} was acknowledged (${past.did}), and is lost`)
      continue
    }
    if (past.did === 'place' && (after.clientOrderId !== past.clientOrderId || after.side !== past.side)) {
      wrongs.push(`order ${before.orderId} is not what ${key} asked for`)
    }
    if (!rejected.has(before.orderId) && naive.order(before.orderId) === undefined) {
      wrongs.push(`order ${before.orderId} was acknowledged, and is in no market`)
    }
    if (after.executedLots < before.executedLots) {
      wrongs.push(`order ${before.orderId} was told with ${before.executedLots} lots, and has ${after.executedLots}`)
    }
    if (!isOpen(before.status) && after.status !== before.status) {
      wrongs.push(`order ${before.orderId} was told ${before.status}, and is ${after.status}`)
    }
    if (past.did === 'cancel' && isOpen(after.status))
      wrongs.push(`order ${before.orderId} was told cancelled, and is open`)
    for (const fill of toldFills) {
      const known = fillsOf.get(`${before.orderId} ${fill.tradeId}`)
      if (known?.lots !== fill.lots || known?.priceTicks !== fill.priceTicks || known?.feeMinor !== fill.feeMinor) {
        wrongs.push(`order ${before.orderId} was told of trade ${fill.tradeId}, which is ${JSON.stringify(known)}`)
      }
    }
  }
  for (const [key, orderId] of unaccepted) {
    const isPlaced = orders.has(orderId) && !rejected.has(orderId)
    if (isPlaced || wasPlacedBeforeVoided(slots, key, orderId)) {
      wrongs.push(`the order ${key} was told not_accepted as ${orderId}, and was placed`)
    }
  }
  return wrongs
}

/** What came through only after the answer, of a request that was left unknown, nobody could have told. */
function wasPlacedBeforeVoided(slots: readonly JudgedSlot[], key: string, voidedId: number): boolean {
  const { orders } = toldOf(slots)
  const [memberId, clientOrderId] = key.split(' ')
  return slots.some(({ log, items }) => {
    if (log !== Log.accounts) return false
    let isPlaced = false
    for (const { source, text } of items) {
      if (source !== 'cmd') continue
      const command = JSON.parse(text) as AccountEdgeCommand
      if (String(command.memberId) !== memberId) continue
      if (command.type === 'PlaceOrder' && command.clientOrderId === clientOrderId) {
        isPlaced ||= orders.has(command.commandId) && command.commandId !== voidedId
      }
      if (command.type === 'VoidOrder' && command.orderId === voidedId) return isPlaced
    }
    return false
  })
}

const isAboutOrder = (past: Remembered): past is Exclude<Remembered, { readonly reference: string }> =>
  past.did === 'place' || past.did === 'cancel' || past.did === 'amend'

/** The database has what the frames tell: every row, once, as it was last. */
function judgeRows(mesh: SimulatedMesh, slots: readonly JudgedSlot[]): string[] {
  const { orders, fills, balances } = toldOf(slots)
  const { database } = mesh
  const movements = eventsOf<AccountEvent>(slots, Log.accounts).filter(({ type }) => type === 'BalanceChanged')
  return [
    ...compareRows(
      'orders',
      database
        .rows('orders')
        .map((row) => `${row.order_id} ${row.status} ${row.executed_lots} ${row.fee_minor} ${row.amount_lots}`),
      [...orders.values()].map((o) => `${o.orderId} ${o.status} ${o.executedLots} ${o.feeMinor} ${o.amountLots}`),
    ),
    ...compareRows(
      'fills',
      database.rows('fills').map((row) => `${row.order_id} ${row.trade_id} ${row.lots} ${row.fee_minor}`),
      fills.map((fill) => `${fill.orderId} ${fill.tradeId} ${fill.lots} ${fill.feeMinor}`),
    ),
    ...compareRows(
      'balances',
      database.rows('balances').map((row) => `${row.member_id} ${row.asset} ${row.available_minor} ${row.held_minor}`),
      [...balances.values()].map((b) => `${b.memberId} ${b.asset} ${b.availableMinor} ${b.heldMinor}`),
    ),
    ...compareRows(
      'movements',
      database.rows('movements').map((row) => `${row.member_id} ${row.cause} ${row.reference} ${row.amount_minor}`),
      movements.flatMap((event) =>
        event.type === 'BalanceChanged'
          ? [`${event.memberId} ${event.cause} ${event.reference} ${event.amountMinor}`]
          : [],
      ),
    ),
  ]
}

function compareRows(table: string, found: string[], expected: string[]): string[] {
  const left = new Map<string, number>()
  for (const line of expected) left.set(line, (left.get(line) ?? 0) + 1)
  for (const line of found) left.set(line, (left.get(line) ?? 0) - 1)
  return [...left]
    .filter(([, count]) => count !== 0)
    .map(([line, count]) => `table ${table}: ${line} is ${count > 0 ? 'missing' : 'not told by any frame'}`)
}
