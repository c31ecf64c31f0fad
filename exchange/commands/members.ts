import type { NatsConnection } from '@nats-io/transport-node'
import { streamsOf } from '#mesh/bus.ts'
import { wholeNumber } from '#mesh/config.ts'
import { formatMinor } from '#mesh/edge/decimal.ts'
import { orderJson, sequenceOf } from '#mesh/edge/order-json.ts'
import type { AccountRead, AccountReadResult } from '#mesh/protocol/accounts.ts'
import type { OrderState } from '#mesh/protocol/common.ts'
import type { OrdersQueryResult } from '#mesh/protocol/orders.ts'
import { callRpc, RpcError } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, Rpc, STREAM_OF_LOG, slotFilter, slotReadSubject } from '#mesh/subjects.ts'
import type { Answer, Command } from '../command.ts'
import type { Connections } from '../connections.ts'
import { table } from '../table.ts'

const ANSWER_MS_MAX = 5_000
const PAGE_DEFAULT = '50'
const PAGE_MAX = 500

export const memberCommands: readonly Command[] = [
  {
    name: 'members',
    arguments: ['[EMAIL]'],
    options: {},
    summary: 'Members, by id; or the one with this e-mail address.',
    help: 'The first hundred; the API has the others.',
    example: 'members trader@example.com',
    run: async (connections, { positionals: [email] }) => {
      const members = await findMembers(connections, email === undefined ? '' : `?email=${encodeURIComponent(email)}`)
      const rows = members.map((one) => [one.id, one.email, one.roles.join(' '), one.status, one.createdAt])
      return { json: { members }, text: table(['ID', 'E-MAIL', 'ROLES', 'STATUS', 'SINCE'], rows) }
    },
  },
  {
    name: 'balances',
    arguments: ['MEMBER'],
    options: {},
    summary: "A member's balances.",
    help: `As the owner of his slot has them, never older than any answer the member got. Held is what his open orders may spend.`,
    example: 'balances trader@example.com',
    run: async (connections, { positionals: [member = ''] }) => {
      const found = await slotOfMember(connections, member)
      const { status, balances } = await askOwner(found, { read: 'balances', memberId: found.memberId })
      const definitions = await connections.definitions()
      const accounts = balances.map(([asset, available, held]) => {
        const scale = definitions.asset(asset)?.scale ?? 0
        return { asset, available: formatMinor(available, scale), held: formatMinor(held, scale) }
      })
      const rows = accounts.map(({ asset, available, held }) => [asset, available, held])
      return {
        json: { memberId: String(found.memberId), status, accounts },
        text: `Member ${found.memberId}: ${status}\n\n${table(['ASSET', 'AVAILABLE', 'HELD'], rows)}`,
        isWell: status !== 'unknown',
      }
    },
  },
  {
    name: 'orders',
    arguments: ['MEMBER'],
    options: { instrument: 'MARKET   of this market alone' },
    summary: "A member's open orders.",
    help: 'From the memory of the owner of his slot; this works without MySQL.',
    example: 'orders trader@example.com --instrument BTC-USDT',
    run: async (connections, { positionals: [member = ''], options: { instrument } }) => {
      const found = await slotOfMember(connections, member)
      const read = { read: 'openOrders', memberId: found.memberId, ...(instrument && { instrument }) } as const
      const { orders } = await askOwner(found, read)
      return ordersAnswer(
        connections,
        orders.map(({ order, position }) => ({ order, sequence: sequenceOf(position) })),
      )
    },
  },
  {
    name: 'history',
    arguments: ['MEMBER'],
    options: {
      instrument: 'MARKET   of this market alone',
      limit: `COUNT         at most so many, 1 to ${PAGE_MAX} (${PAGE_DEFAULT})`,
      cursor: 'CURSOR       what the page before ended with',
    },
    summary: "All of a member's orders, newest first.",
    help: 'From MySQL, once that has everything that happened before you asked.',
    example: 'history trader@example.com --limit 10',
    run: async (connections, { positionals: [member = ''], options: { instrument, limit = PAGE_DEFAULT, cursor } }) => {
      const found = await slotOfMember(connections, member)
      const { orders, cursor: next } = await callRpc<Extract<OrdersQueryResult, { query: 'orders' }>>(
        found.nats,
        Rpc.ordersQuery,
        {
          query: 'orders',
          memberId: found.memberId,
          limit: wholeNumber('--limit', limit, 1, PAGE_MAX),
          ...(instrument && { instrument }),
          ...(cursor && { cursor }),
          barrier: { slot: found.slot, sequence: await lastStored(found) },
        },
        ANSWER_MS_MAX,
      )
      return ordersAnswer(
        connections,
        orders.map(({ order, sequence }) => ({ order, sequence: String(sequence) })),
        next,
      )
    },
  },
  blocking(
    'block',
    'Block a member: no token of his is good, no command is taken.',
    'He keeps his open orders and balances.',
  ),
  blocking('unblock', 'Let a blocked member in again.', 'He has to log in anew.'),
]

function blocking(name: 'block' | 'unblock', summary: string, help: string): Command {
  return {
    name,
    arguments: ['MEMBER'],
    options: { reason: 'TEXT   kept with it' },
    summary,
    help: `${help} It holds on every gateway at once.`,
    example: `${name} trader@example.com --reason "asked by support"`,
    run: async (connections, { positionals: [member = ''], options: { reason } }) => {
      const id = await memberIdOf(connections, member)
      await (await connections.api()).call('POST', `/admin/members/${id}/${name}`, reason ? { reason } : {})
      return { json: { memberId: id, done: true }, text: `✔ Member ${id} is ${name}ed.` }
    },
  }
}

interface Member {
  readonly id: string
  readonly email: string
  readonly roles: readonly string[]
  readonly status: string
  readonly createdAt: string
}

async function findMembers(connections: Connections, query: string): Promise<Member[]> {
  const { members } = (await (await connections.api()).call('GET', `/admin/members${query}`)) as { members: Member[] }
  return members
}

/** @throws RpcError `member_unknown` */
async function memberIdOf(connections: Connections, member: string): Promise<string> {
  if (!member.includes('@')) return String(wholeNumber('MEMBER', member, 1, Number.MAX_SAFE_INTEGER))
  const [found] = await findMembers(connections, `?email=${encodeURIComponent(member)}`)
  if (found === undefined) throw new RpcError('member_unknown', `There is no member ${member}.`)
  return found.id
}

interface MemberSlot {
  readonly nats: NatsConnection
  readonly memberId: number
  readonly slot: number
}

async function slotOfMember(connections: Connections, member: string): Promise<MemberSlot> {
  const memberId = Number(await memberIdOf(connections, member))
  const { accountSlots } = await connections.shape()
  return { nats: await connections.bus(), memberId, slot: accountSlotOf(memberId, accountSlots) }
}

function askOwner<Read extends AccountRead>({ nats, slot }: MemberSlot, read: Read) {
  type Result = Extract<AccountReadResult, { read: Read['read'] }>
  return callRpc<Result>(nats, slotReadSubject(Log.accounts, slot), read, ANSWER_MS_MAX)
}

async function lastStored({ nats, slot }: MemberSlot): Promise<number> {
  return (await streamsOf(nats).last(STREAM_OF_LOG[Log.accounts], slotFilter(Log.accounts, slot)))?.seq ?? 0
}

async function ordersAnswer(
  connections: Connections,
  found: readonly { readonly order: OrderState; readonly sequence: string }[],
  cursor?: string,
): Promise<Answer> {
  const definitions = await connections.definitions()
  const orders = found.flatMap(({ order, sequence }): Record<string, string | null>[] => {
    const market = definitions.market(order.instrument)
    return market === undefined ? [] : [JSON.parse(orderJson(order, market, sequence))]
  })
  const rows = orders.map((one) => [
    one.id,
    one.instrument,
    one.side,
    one.type,
    one.price ?? one.worstPrice,
    one.amount ?? one.quoteAmount,
    one.executedAmount,
    one.status,
    one.reason,
    one.createdAt,
  ])
  const header = ['ID', 'MARKET', 'SIDE', 'TYPE', 'PRICE', 'AMOUNT', 'EXECUTED', 'STATUS', 'REASON', 'CREATED']
  const more = cursor === undefined ? '' : `\n\nMore: --cursor ${cursor}`
  return { json: { orders, cursor: cursor ?? null }, text: table(header, rows) + more }
}
