import type { NatsConnection } from '@nats-io/transport-node'
import { formatMinor, parseMinor } from '#mesh/edge/decimal.ts'
import type { Definitions } from '#mesh/edge/definitions.ts'
import { marketOf } from '#mesh/edge/market.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type * as auth from '#mesh/protocol/auth.ts'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { RpcError } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import type { MeshShape } from '#mesh/streams.ts'
import { DEFINITIONS_SLOT, Log, Rpc } from '#mesh/subjects.ts'
import { type Answer, created, type Endpoint, endpoint, ok } from '../http/endpoint.ts'
import type { Commander } from '../mesh/commander.ts'
import type { Reads } from '../mesh/reads.ts'
import type { Slots } from '../mesh/slots.ts'
import { Problem } from '../problem.ts'
import * as schemas from '../schemas/admin.ts'
import { AssetInfo, MarketInfo } from '../schemas/markets.ts'
import * as memberSchemas from '../schemas/members.ts'
import { balanceOf, scaleOf } from './balances.ts'
import { marketInfo } from './markets.ts'
import { askAuth, timeOfMs } from './members.ts'
import { idOf, marketNamed } from './parameters.ts'

interface Parts {
  readonly nats: NatsConnection
  readonly instanceId: string
  readonly shape: MeshShape
  readonly nextId: () => number | Promise<number>
  readonly commander: Commander
  readonly definitions: Definitions
  readonly reads: Reads
  readonly slots: Slots
}

const SLOT_CODES = ['slot_halted', 'slot_unavailable', 'ids_unavailable', 'outcome_unknown'] as const
const AUTH_CODES = ['forbidden', 'member_unknown', 'service_unavailable', 'service_timeout'] as const
const FUNDING_CODES = [
  'missing_field',
  'decimal_invalid',
  'not_positive',
  'too_many_decimals',
  'asset_unknown',
  'amount_invalid',
  'reference_conflict',
  'member_unknown',
  'member_closed',
  'balance_overflow',
  ...SLOT_CODES,
] as const
const DONE = '{"done":true}'

export function adminEndpoints(parts: Parts): Endpoint[] {
  return [...fundingEndpoints(parts), ...definitionEndpoints(parts), ...memberEndpoints(parts), totalsEndpoint(parts)]
}

/** The first reply to an admin's command. What is repeated with the same content does no harm, so unknown is told as such. */
async function ask(
  parts: Parts,
  log: Log,
  slot: number,
  command: AccountEdgeCommand | DefinitionCommand,
): Promise<Reply> {
  if (log === Log.accounts) parts.slots.check(log, slot)
  let reply: Reply
  try {
    reply = await parts.commander.ask(log, slot, command)
  } catch (error) {
    const unknown = error instanceof RpcError && (error.code === 'publish_unknown' || error.code === 'reply_timeout')
    if (error instanceof RpcError && error.code === 'publish_refused') {
      throw new Problem('service_unavailable', { retryAfterSeconds: 1 }, { cause: error })
    }
    throw unknown ? new Problem('outcome_unknown', {}, { cause: error }) : error
  }
  if (reply.kind === 'ledgerRefused' || reply.kind === 'refused') throw new Problem(reply.code)
  return reply
}

function fundingEndpoints(parts: Parts): Endpoint[] {
  const { definitions, shape } = parts

  const minorOf = (amount: string, asset: string): string => {
    const minor = parseMinor(amount, scaleOf(asset, definitions))
    if (typeof minor === 'bigint') return minor.toString()
    throw new Problem(minor === 'off_step' || minor === 'too_large' ? 'amount_too_large' : minor, { field: 'amount' })
  }
  const booked = async (slot: number, command: AccountEdgeCommand): Promise<Answer> => {
    const reply = await ask(parts, Log.accounts, slot, command)
    if (reply.kind !== 'booked') throw new Error(`${command.type} was answered with ${reply.kind}.`)
    const { reference, repeated, balances } = reply
    const accounts = balances.map((balance) => balanceOf(balance, definitions))
    const json = JSON.stringify({ reference, repeated, accounts })
    return repeated ? ok(json) : created(json)
  }
  const fund = async (
    type: 'Deposit' | 'Withdraw',
    { reference, memberId, asset, amount }: { reference: string; memberId: string; asset: string; amount: string },
  ): Promise<Answer> => {
    const member = idOf(memberId, 'memberId')
    return booked(accountSlotOf(member, shape.accountSlots), {
      type,
      commandId: await parts.nextId(),
      replyTo: parts.instanceId,
      memberId: member,
      reference,
      asset,
      amountMinor: minorOf(amount, asset),
    })
  }

  return [
    endpoint({
      method: 'POST',
      path: '/admin/deposits',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Book a deposit',
      description: 'Idempotent by its reference, for good: a repeat gets 200 and `repeated: true`.',
      body: schemas.Funding,
      answers: { 201: schemas.Booked, 200: schemas.Booked },
      codes: FUNDING_CODES,
      handle: ({ body }) => fund('Deposit', body),
    }),
    endpoint({
      method: 'POST',
      path: '/admin/withdrawals',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Book a withdrawal',
      description: 'Idempotent by its reference, for good.',
      body: schemas.Funding,
      answers: { 201: schemas.Booked, 200: schemas.Booked },
      codes: [...FUNDING_CODES, 'insufficient_balance', 'member_blocked'],
      handle: ({ body }) => fund('Withdraw', body),
    }),
    endpoint({
      method: 'POST',
      path: '/admin/transfers',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Move money between members',
      description: 'Answers when it is credited. Idempotent by its reference, for good.',
      body: schemas.Transfer,
      answers: { 201: schemas.Booked, 200: schemas.Booked },
      codes: [...FUNDING_CODES, 'insufficient_balance', 'member_blocked'],
      handle: async ({ body }) => {
        const from = idOf(body.fromMemberId, 'fromMemberId')
        return booked(accountSlotOf(from, shape.accountSlots), {
          type: 'Transfer',
          commandId: await parts.nextId(),
          replyTo: parts.instanceId,
          memberId: from,
          toMemberId: idOf(body.toMemberId, 'toMemberId'),
          reference: body.reference,
          asset: body.asset,
          amountMinor: minorOf(body.amount, body.asset),
        })
      },
    }),
  ]
}

function definitionEndpoints(parts: Parts): Endpoint[] {
  const { definitions } = parts

  const define = async (command: DefinitionCommand) => {
    const reply = await ask(parts, Log.definitions, DEFINITIONS_SLOT, command)
    if (reply.kind !== 'defined') throw new Error(`${command.type} was answered with ${reply.kind}.`)
    return reply
  }
  const marketJson = async (command: DefinitionCommand): Promise<string> => {
    const { market } = await define(command)
    const base = market && definitions.asset(market.base)
    const quote = market && definitions.asset(market.quote)
    if (!market || !base || !quote) throw new Error(`${command.type} was answered without its market.`)
    return JSON.stringify(marketInfo(marketOf(market, base, quote)))
  }
  const fromEdge = async () => ({ commandId: await parts.nextId(), replyTo: parts.instanceId })

  return [
    endpoint({
      method: 'POST',
      path: '/admin/assets',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Add an asset',
      body: schemas.NewAsset,
      answers: { 201: AssetInfo },
      codes: ['missing_field', 'asset_exists', 'definition_invalid', 'definition_conflict', ...SLOT_CODES],
      handle: async ({ body }) => {
        const { asset } = await define({ type: 'DefineAsset', ...(await fromEdge()), ...body })
        return created(JSON.stringify(asset))
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/markets',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Add a market',
      description: 'Tick, lot and scales never change; fees and status can.',
      body: schemas.NewMarket,
      answers: { 201: MarketInfo },
      codes: [
        'missing_field',
        'asset_unknown',
        'market_exists',
        'definition_invalid',
        'definition_conflict',
        ...SLOT_CODES,
      ],
      handle: async ({ body }) => {
        const { amountMin, makerFeePpm = 0, takerFeePpm = 0, slippagePpm = 50_000, ...rest } = body
        const instrument = body.instrument ?? `${body.base}-${body.quote}`
        const json = await marketJson({
          type: 'DefineMarket',
          ...(await fromEdge()),
          ...rest,
          instrument,
          makerFeePpm,
          takerFeePpm,
          slippagePpm,
          ...(amountMin === undefined ? {} : { amountMin }),
        })
        return created(json)
      },
    }),
    endpoint({
      method: 'PATCH',
      path: '/admin/markets/{instrument}',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Change fees, or halt and reopen a market',
      description: 'Fees are frozen into each order when it is placed.',
      body: schemas.MarketChange,
      answers: { 200: MarketInfo },
      codes: ['missing_field', 'market_unknown', 'definition_invalid', ...SLOT_CODES],
      handle: async ({ body, params }) => {
        const { instrument, ...fees } = marketNamed(definitions, params.instrument).definition
        const { makerFeePpm, takerFeePpm, status } = body
        let json: string | undefined
        if (makerFeePpm !== undefined || takerFeePpm !== undefined) {
          json = await marketJson({
            type: 'SetFees',
            ...(await fromEdge()),
            instrument,
            makerFeePpm: makerFeePpm ?? fees.makerFeePpm,
            takerFeePpm: takerFeePpm ?? fees.takerFeePpm,
          })
        }
        if (status !== undefined) {
          json = await marketJson({ type: 'SetMarketStatus', ...(await fromEdge()), instrument, status })
        }
        if (json === undefined) throw new Problem('missing_field', { field: 'status' })
        return ok(json)
      },
    }),
  ]
}

const PAGE_DEFAULT = 100

function memberEndpoints({ nats }: Parts): Endpoint[] {
  const change = async (subject: string, actorId: number, id: string | undefined, body: object): Promise<Answer> => {
    await askAuth<auth.DoneReply>(nats, subject, { actorId, memberId: idOf(id ?? '', 'memberId'), ...body })
    return ok(DONE)
  }
  const deny = (subject: { memberId?: string; email?: string }): { memberId: number } | { email: string } => {
    if (subject.memberId !== undefined && subject.email !== undefined) {
      throw new Problem('field_not_allowed', { field: 'email' })
    }
    if (subject.memberId !== undefined) return { memberId: idOf(subject.memberId, 'memberId') }
    if (subject.email !== undefined) return { email: subject.email }
    throw new Problem('missing_field', { field: 'memberId' })
  }

  return [
    endpoint({
      method: 'GET',
      path: '/admin/members',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'List members, by id',
      query: memberSchemas.MembersQuery,
      answers: { 200: memberSchemas.Members },
      codes: ['invalid_value', ...AUTH_CODES],
      handle: async ({ query, identity }) => {
        const limit = query.limit === undefined ? PAGE_DEFAULT : Number(query.limit)
        const { members } = await askAuth<auth.MembersReply>(nats, Rpc.authListMembers, {
          actorId: identity.memberId,
          limit,
          ...(query.email === undefined ? {} : { email: query.email }),
          ...(query.memberId === undefined ? {} : { memberId: idOf(query.memberId, 'memberId') }),
          ...(query.cursor === undefined ? {} : { afterMemberId: idOf(query.cursor, 'cursor') }),
        })
        const last = members.at(-1)
        return ok(
          JSON.stringify({
            members: members.map(({ memberId, email, roles, status, denied, createdAtMs }) => ({
              id: String(memberId),
              email,
              roles,
              status,
              denied,
              createdAt: timeOfMs(createdAtMs),
            })),
            cursor: members.length < limit || last === undefined ? null : String(last.memberId),
          }),
        )
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/members/{memberId}/block',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Block a member: no token is good, no command is taken',
      body: memberSchemas.Block,
      answers: { 200: memberSchemas.Done },
      codes: ['member_closed', 'last_admin', 'publish_unknown', ...AUTH_CODES],
      handle: ({ params, body, identity }) => change(Rpc.authBlockMember, identity.memberId, params.memberId, body),
    }),
    endpoint({
      method: 'POST',
      path: '/admin/members/{memberId}/unblock',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Unblock a member',
      body: memberSchemas.Block,
      answers: { 200: memberSchemas.Done },
      codes: ['member_closed', 'publish_unknown', ...AUTH_CODES],
      handle: ({ params, body, identity }) => change(Rpc.authUnblockMember, identity.memberId, params.memberId, body),
    }),
    endpoint({
      method: 'PUT',
      path: '/admin/members/{memberId}/roles',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Give a member roles',
      description:
        'Every member is a `member`. Ends his sessions, and with the role of a broker his tokens for others.',
      body: memberSchemas.Roles,
      answers: { 200: memberSchemas.Done },
      codes: ['missing_field', 'own_roles', ...AUTH_CODES],
      handle: ({ params, body, identity }) => change(Rpc.authSetRoles, identity.memberId, params.memberId, body),
    }),
    endpoint({
      method: 'GET',
      path: '/admin/denials',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'The deny list, newest first',
      query: memberSchemas.DenialsQuery,
      answers: { 200: memberSchemas.Denials },
      codes: ['invalid_value', ...AUTH_CODES],
      handle: async ({ query, identity }) => {
        const limit = query.limit === undefined ? PAGE_DEFAULT : Number(query.limit)
        const { entries } = await askAuth<auth.DenyListReply>(nats, Rpc.authDenyList, {
          actorId: identity.memberId,
          action: 'list',
          limit,
          ...(query.cursor === undefined ? {} : { beforeEntryId: idOf(query.cursor, 'cursor') }),
        })
        const last = entries.at(-1)
        return ok(
          JSON.stringify({
            denials: entries.map((entry) => ({
              id: String(entry.entryId),
              memberId: entry.memberId === undefined ? null : String(entry.memberId),
              email: entry.email ?? null,
              reason: entry.reason,
              createdBy: String(entry.createdBy),
              createdAt: timeOfMs(entry.createdAtMs),
            })),
            cursor: entries.length < limit || last === undefined ? null : String(last.entryId),
          }),
        )
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/denials',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Deny a member or an e-mail',
      description: 'Tokens are refused at once on every gateway; open orders stay.',
      body: memberSchemas.NewDenial,
      answers: { 200: memberSchemas.Done },
      codes: ['missing_field', 'field_not_allowed', 'email_invalid', 'own_denial', ...AUTH_CODES],
      handle: async ({ body, identity }) => {
        await askAuth<auth.DenyListReply>(nats, Rpc.authDenyList, {
          actorId: identity.memberId,
          action: 'add',
          ...deny(body),
          ...(body.reason === undefined ? {} : { reason: body.reason }),
        })
        return ok(DONE)
      },
    }),
    endpoint({
      method: 'DELETE',
      path: '/admin/denials',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'Take a member or an e-mail off the deny list',
      query: memberSchemas.DenialTarget,
      answers: { 200: memberSchemas.Done },
      codes: ['missing_field', 'field_not_allowed', 'email_invalid', ...AUTH_CODES],
      handle: async ({ query, identity }) => {
        await askAuth<auth.DenyListReply>(nats, Rpc.authDenyList, {
          actorId: identity.memberId,
          action: 'remove',
          ...deny(query),
        })
        return ok(DONE)
      },
    }),
    endpoint({
      method: 'POST',
      path: '/admin/keys/rotate',
      access: 'admin',
      kind: 'admin',
      tag: 'Admin',
      summary: 'A new key to sign tokens with',
      description: 'Published at once, used a while later; the old keys stay until their tokens have expired.',
      answers: { 200: memberSchemas.RotatedKey },
      codes: AUTH_CODES,
      handle: async ({ identity }) => {
        const { keyId, usedFromMs } = await askAuth<auth.RotateKeyReply>(nats, Rpc.authRotateKey, {
          actorId: identity.memberId,
        })
        return ok(JSON.stringify({ keyId, usedFrom: timeOfMs(usedFromMs) }))
      },
    }),
  ]
}

function totalsEndpoint({ reads, definitions, shape }: Parts): Endpoint {
  interface Sums {
    available: bigint
    held: bigint
    fees: bigint
    clearing: bigint
    deposited: bigint
  }
  return endpoint({
    method: 'GET',
    path: '/admin/totals',
    access: 'admin',
    kind: 'admin',
    tag: 'Admin',
    summary: 'Totals per asset and market, as the slots have them now',
    description: 'Each slot is read at its own moment: what is under way between slots stands in `clearing`.',
    answers: { 200: schemas.Totals },
    codes: ['slot_halted', 'slot_unavailable'],
    handle: async () => {
      const accountSlots = Array.from({ length: shape.accountSlots }, (_, slot) => slot)
      const marketSlots = Array.from({ length: shape.marketSlots }, (_, slot) => slot)
      const [accounts, markets] = await Promise.all([
        Promise.all(accountSlots.map((slot) => reads.account(slot, { read: 'totals' }))),
        Promise.all(marketSlots.map((slot) => reads.market(slot, { read: 'totals' }))),
      ])
      const sums = new Map<string, Sums>()
      for (const total of accounts.flatMap(({ totals }) => totals)) {
        const sum = sums.get(total.asset) ?? { available: 0n, held: 0n, fees: 0n, clearing: 0n, deposited: 0n }
        sum.available += BigInt(total.availableMinor)
        sum.held += BigInt(total.heldMinor)
        sum.fees += BigInt(total.feesMinor)
        for (const { balanceMinor } of total.clearing) sum.clearing += BigInt(balanceMinor)
        sum.deposited += BigInt(total.depositedMinor)
        sums.set(total.asset, sum)
      }
      const assets = [...sums.entries()]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([asset, sum]) => {
          const scale = scaleOf(asset, definitions)
          const text = (minor: bigint) => formatMinor(minor.toString(), scale)
          return {
            asset,
            available: text(sum.available),
            held: text(sum.held),
            fees: text(sum.fees),
            clearing: text(sum.clearing),
            deposited: text(sum.deposited),
          }
        })
      const perMarket = markets
        .flatMap((result) => result.markets)
        .sort((a, b) => (a.instrument < b.instrument ? -1 : 1))
        .map((total) => {
          const { baseScale, quoteScale } = marketNamed(definitions, total.instrument)
          return {
            instrument: total.instrument,
            openOrders: total.ordersCount,
            bidsHeld: formatMinor(total.bidsHeldMinor, quoteScale),
            asksHeld: formatMinor(total.asksHeldMinor, baseScale),
            trades: total.tradesCount,
          }
        })
      return ok(JSON.stringify({ assets, markets: perMarket }))
    },
  })
}
