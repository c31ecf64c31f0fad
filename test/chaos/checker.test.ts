import assert from 'node:assert/strict'
import { check, type FinalFill, type FinalOrder, type FinalState, KINDS, type Kind } from './checker.ts'
import type { Funding, Listing, MemberHistory, OrderHistory, Told } from './history.ts'
import { UNIT } from './units.ts'

const BUYER = 1
const SELLER = 2
const PRICE = 50_000 * UNIT
const LOT = UNIT / 1_000

type Mutable<Type> = { -readonly [Key in keyof Type]: Type[Key] extends readonly (infer Item)[] ? Item[] : Type[Key] }
interface World {
  histories: Mutable<MemberHistory>[]
  fundings: Funding[]
  final: Mutable<Omit<FinalState, 'memory'>> & { memory: Mutable<FinalState['memory']> }
}

/**
 * A small day that is all right: the buyer's order `b-0` meets the seller's `s-0` in part and is cancelled then; `b-1` rests;
 * `s-1` was refused; of `s-2` nobody knows.
 */
function goodDay(): World {
  const toldBuy: Told = {
    step: 1,
    how: 'done',
    orderId: '101',
    sequence: 10,
    status: 'partially_filled',
    price: PRICE,
    amount: 10 * LOT,
    executed: 4 * LOT,
    fills: [{ tradeId: '1', price: PRICE, amount: 4 * LOT, fee: 8_000 }],
  }
  const buyer: Mutable<MemberHistory> = {
    memberId: BUYER,
    orders: [
      order('b-0', 'buy', 10, {
        attempts: ['unknown', 'told'],
        told: [toldBuy, { ...toldBuy, step: 2, sequence: 12, status: 'cancelled', fills: [] }],
        cancels: [{ outcome: 'told', code: '' }],
      }),
      order('b-1', 'buy', 5, {
        attempts: ['told'],
        told: [
          { ...toldBuy, step: 3, orderId: '102', sequence: 14, status: 'new', amount: 5 * LOT, executed: 0, fills: [] },
        ],
      }),
    ],
    cancelAlls: [],
    listings: [{ step: 4, what: 'open', full: false, orderIds: new Set(['102']) }],
  }
  const seller: Mutable<MemberHistory> = {
    memberId: SELLER,
    orders: [
      order('s-0', 'sell', 4, {
        attempts: ['told'],
        told: [
          { ...toldBuy, step: 1, orderId: '201', sequence: 7, status: 'new', amount: 4 * LOT, executed: 0, fills: [] },
        ],
      }),
      order('s-1', 'sell', 3, { attempts: ['refused'] }),
      order('s-2', 'sell', 2, { attempts: ['unknown', 'unknown'] }),
    ],
    cancelAlls: [],
    listings: [],
  }
  const fill: FinalFill = {
    memberId: BUYER,
    orderId: '101',
    instrument: 'BTC-USDT',
    side: 'buy',
    tradeId: '1',
    price: PRICE,
    amount: 4 * LOT,
    quote: BigInt(200 * UNIT),
    fee: 8_000n,
    liquidity: 'taker',
  }
  const open = row(BUYER, 102, 'b-1', 'buy', 5, { sequence: 14 })
  const balances = [
    { memberId: BUYER, asset: 'USDT', available: BigInt((1_000 - 200 - 250) * UNIT), held: BigInt(250 * UNIT) },
    { memberId: BUYER, asset: 'BTC', available: BigInt(4 * LOT - 8_000), held: 0n },
    { memberId: SELLER, asset: 'USDT', available: BigInt(200 * UNIT) - 20_000_000n, held: 0n },
    { memberId: SELLER, asset: 'BTC', available: BigInt(UNIT - 4 * LOT), held: 0n },
  ]
  return {
    histories: [buyer, seller],
    fundings: [
      { reference: 'd-1', memberId: BUYER, asset: 'USDT', amount: BigInt(1_000 * UNIT), outcome: 'told' },
      { reference: 'd-2', memberId: SELLER, asset: 'BTC', amount: BigInt(UNIT), outcome: 'unknown' },
    ],
    final: {
      orders: [
        row(BUYER, 101, 'b-0', 'buy', 10, { status: 'cancelled', executed: 4 * LOT, sequence: 12 }),
        open,
        row(SELLER, 201, 's-0', 'sell', 4, { status: 'executed', executed: 4 * LOT, sequence: 9 }),
        row(SELLER, 202, 's-1', 'sell', 3, { status: 'rejected', sequence: 11 }),
      ],
      fills: [fill, { ...fill, memberId: SELLER, orderId: '201', side: 'sell', fee: 20_000_000n, liquidity: 'maker' }],
      movements: [
        { memberId: BUYER, asset: 'USDT', reference: 'd-1', amount: BigInt(1_000 * UNIT) },
        { memberId: SELLER, asset: 'BTC', reference: 'd-2', amount: BigInt(UNIT) },
      ],
      balances: [...balances],
      memory: { orders: [open], balances: [...balances] },
    },
  }
}

function order(clientOrderId: string, side: 'buy' | 'sell', lots: number, more: Partial<OrderHistory>): OrderHistory {
  return {
    clientOrderId,
    instrument: 'BTC-USDT',
    side,
    type: 'limit',
    price: PRICE,
    amount: lots * LOT,
    attempts: [],
    told: [],
    cancels: [],
    amendments: [],
    missed: 0,
    ...more,
  }
}

function row(
  memberId: number,
  orderId: number,
  clientOrderId: string,
  side: 'buy' | 'sell',
  lots: number,
  more: Partial<FinalOrder>,
): FinalOrder {
  return {
    memberId,
    orderId: String(orderId),
    clientOrderId,
    instrument: 'BTC-USDT',
    side,
    type: 'limit',
    price: PRICE,
    amount: lots * LOT,
    executed: 0,
    status: 'new',
    sequence: 1,
    ...more,
  }
}

/** What is found when one thing is otherwise. */
function found(change: (world: World) => void): Kind[] {
  const world = goodDay()
  change(world)
  const { differences } = check(world.histories, world.fundings, world.final)
  return KINDS.filter((kind) => differences.some((one) => one.kind === kind))
}
const rowOf = ({ final }: World, id: string): FinalOrder => {
  const one = final.orders.find(({ orderId }) => orderId === id)
  assert(one)
  return one
}
const replaceRow = (world: World, id: string, more: Partial<FinalOrder>): void => {
  const at = world.final.orders.indexOf(rowOf(world, id))
  world.final.orders[at] = { ...rowOf(world, id), ...more }
}
const orderOf = ({ histories }: World, clientOrderId: string): OrderHistory => {
  const one = histories.flatMap(({ orders }) => orders).find((each) => each.clientOrderId === clientOrderId)
  assert(one)
  return one
}
const tellLast = (world: World, clientOrderId: string, more: Partial<Told>): void => {
  const { told } = orderOf(world, clientOrderId)
  const last = told.at(-1)
  assert(last)
  told[told.length - 1] = { ...last, ...more }
}
const list = (world: World, listing: Partial<Listing>): void => {
  world.histories[0]?.listings.push({ step: 9, what: 'open', full: false, orderIds: new Set(['102']), ...listing })
}

describe("chaos: the checker of the members' histories", () => {
  it('finds nothing where nothing is wrong, and counts', () => {
    const { histories, fundings, final } = goodDay()
    const { counts, differences } = check(histories, fundings, final)
    assert.deepEqual(differences, [])
    const { sent, acknowledged, refused, unknown, unknownDone, unknownNotDone, repeats } = counts
    assert.deepEqual([sent, acknowledged, refused, unknown, unknownDone, unknownNotDone], [5, 3, 1, 1, 0, 1])
    assert.equal(repeats, 2)
  })

  it('takes an order of unknown outcome either way', () => {
    const done = (world: World): void => {
      const rest = row(SELLER, 203, 's-2', 'sell', 2, {})
      world.final.orders.push(rest)
      world.final.memory.orders.push(rest)
      for (const list of [world.final.balances, world.final.memory.balances]) {
        const at = list.findIndex(({ memberId, asset }) => memberId === SELLER && asset === 'BTC')
        list[at] = { memberId: SELLER, asset: 'BTC', available: BigInt(UNIT - 6 * LOT), held: BigInt(2 * LOT) }
      }
    }
    assert.deepEqual(found(done), [])
  })

  const planted: [what: string, expected: Kind[], change: (world: World) => void][] = [
    [
      'an acknowledged order that is not there',
      ['lost', 'money'],
      (world) => {
        world.final.orders = world.final.orders.filter(({ orderId }) => orderId !== '102')
        world.final.memory.orders = []
      },
    ],
    [
      'an order that is there under another id',
      ['lost', 'differs'],
      (world) => replaceRow(world, '102', { orderId: '999' }),
    ],
    [
      'an order that is there twice',
      ['lost', 'doubled', 'money'],
      (world) => world.final.orders.push(row(BUYER, 103, 'b-1', 'buy', 5, {})),
    ],
    ['an order that was told under two ids', ['doubled'], (world) => tellLast(world, 'b-0', { orderId: '777' })],
    ['a refused order that is there', ['refused_effective'], (world) => replaceRow(world, '202', { status: 'closed' })],
    [
      'an order that nobody sent',
      ['unasked'],
      (world) => world.final.orders.push(row(SELLER, 300, 'x-0', 'sell', 1, { status: 'closed' })),
    ],
    ['an order with another price', ['differs', 'money'], (world) => replaceRow(world, '102', { price: PRICE - UNIT })],
    [
      'an amendment that was told and has no effect',
      ['differs'],
      (world) => orderOf(world, 'b-1').amendments.push({ price: PRICE, amount: 9 * LOT, outcome: 'told' }),
    ],
    [
      'a cancel that was told and has no effect',
      ['lost'],
      (world) => orderOf(world, 'b-1').cancels.push({ outcome: 'told', code: '' }),
    ],
    [
      'a cancel of all that was told and has no effect',
      ['lost'],
      (world) => world.histories[0]?.cancelAlls.push({ outcome: 'told', cancelled: ['102'], pending: [] }),
    ],
    [
      'a cancel that nobody asked for',
      ['refused_effective'],
      (world) => orderOf(world, 'b-0').cancels.splice(0, 1, { outcome: 'refused', code: 'order_not_open' }),
    ],
    [
      'a cancel that was refused because the order is over, and the order is open',
      ['differs'],
      (world) => orderOf(world, 'b-1').cancels.push({ outcome: 'refused', code: 'order_not_open' }),
    ],
    ['more executed than the fills say', ['differs'], (world) => replaceRow(world, '101', { executed: 5 * LOT })],
    [
      'less executed than was told',
      ['lost', 'differs', 'money'],
      (world) => {
        replaceRow(world, '101', { executed: 0 })
        world.final.fills = []
      },
    ],
    [
      'a trade with one side',
      ['lost', 'differs', 'money'],
      (world) => {
        world.final.fills.pop()
      },
    ],
    [
      'a trade with three sides',
      ['doubled', 'differs', 'money'],
      (world) => {
        const [first] = world.final.fills
        assert(first)
        world.final.fills.push(first)
      },
    ],
    [
      'a trade whose sides differ in price',
      ['differs', 'money'],
      (world) => {
        const last = world.final.fills.pop()
        assert(last)
        world.final.fills.push({ ...last, price: PRICE + UNIT, quote: last.quote + 1n })
      },
    ],
    [
      'a gap in the trades',
      ['lost'],
      (world) => {
        world.final.fills = world.final.fills.map((fill) => ({ ...fill, tradeId: '2' }))
        orderOf(world, 'b-0').told.splice(0, 1)
      },
    ],
    [
      'a fill that was told with another fee',
      ['differs'],
      (world) => tellLast(world, 'b-0', { fills: [{ tradeId: '1', price: PRICE, amount: 4 * LOT, fee: 8_001 }] }),
    ],
    ['a state that is older than one before it', ['stale'], (world) => tellLast(world, 'b-0', { sequence: 9 })],
    [
      'an answer with a sequence below the one before it',
      ['stale'],
      (world) => tellLast(world, 'b-1', { sequence: 11 }),
    ],
    [
      'an order that was told and could not be read',
      ['stale'],
      (world) => {
        orderOf(world, 'b-1').missed = 1
      },
    ],
    ['an open order that was not listed', ['stale'], (world) => list(world, { orderIds: new Set() })],
    [
      'an order that was over and listed as open',
      ['stale'],
      (world) => list(world, { orderIds: new Set(['101', '102']) }),
    ],
    [
      'a history that misses what was told before',
      ['stale'],
      (world) => list(world, { what: 'newest', orderIds: new Set(['101']) }),
    ],
    [
      'a deposit that was booked twice',
      ['doubled', 'money'],
      (world) => world.final.movements.push({ memberId: SELLER, asset: 'BTC', reference: 'd-2', amount: BigInt(UNIT) }),
    ],
    [
      'a deposit that was told and is not there',
      ['lost', 'money'],
      (world) => {
        world.final.movements.shift()
      },
    ],
    [
      'half a transfer',
      ['lost', 'money'],
      (world) => {
        world.fundings.push({
          reference: 't-1',
          memberId: BUYER,
          toMemberId: SELLER,
          asset: 'BTC',
          amount: 5n,
          outcome: 'told',
        })
        world.final.movements.push({ memberId: BUYER, asset: 'BTC', reference: 't-1', amount: -5n })
      },
    ],
    [
      'money that nobody booked',
      ['unasked', 'money'],
      (world) => world.final.movements.push({ memberId: BUYER, asset: 'ETH', reference: '?', amount: 1n }),
    ],
    [
      'one unit too many in MySQL',
      ['money'],
      (world) => {
        const [first] = world.final.balances
        assert(first)
        world.final.balances[0] = { ...first, available: first.available + 1n }
      },
    ],
    [
      'one unit too many held in memory',
      ['money'],
      (world) => {
        const [first] = world.final.memory.balances
        assert(first)
        world.final.memory.balances[0] = { ...first, available: first.available - 1n, held: first.held + 1n }
      },
    ],
    [
      'an open order that is not in memory',
      ['lost'],
      (world) => {
        world.final.memory.orders = []
      },
    ],
    [
      'an order in memory that is another one',
      ['differs'],
      (world) => {
        world.final.memory.orders = world.final.memory.orders.map((one) => ({ ...one, sequence: 15 }))
      },
    ],
  ]
  for (const [what, expected, change] of planted) {
    it(`finds ${what}`, () => assert.deepEqual(found(change), expected))
  }
})
