import type { Rules } from '#mesh/machine/rules.ts'
import type {
  AccountEdgeCommand,
  AccountEvent,
  AccountItem,
  AccountStatus,
  CreateAccount,
  SetAccountStatus,
  SetFeeDiscount,
} from '#mesh/protocol/accounts.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'
import {
  ACCOUNTS_PACKED_VERSION,
  type AccountsContext,
  type AccountsSettings,
  type AccountsState,
  accountsStateHash,
  initialAccountsState,
  learnAsset,
  learnMarket,
  packAccounts,
  unpackAccounts,
} from './accounts-state.ts'
import { beginLedgerCommand, bookClaimed, claimReference, creditTransfer, settleTransfer } from './ledger.ts'
import { amendOrder, answeredAsRepeat, cancelOrder, cancelOrders, voidOrder } from './order-commands.ts'
import { bookOutcome, bookRefusal } from './outcomes.ts'
import { placeOrder } from './place-order.ts'
import { NONE } from './row-index.ts'

export const OPEN_ORDERS_MAX = 1000
/** Of all slots together. */
export const REMEMBERED_IDS_MAX = 10_000_000
export const REMEMBERED_US = 24 * 3600 * 1_000_000

/** Defaults as above; the ids are shared out equally among the slots. */
export type AccountsOptions = Pick<AccountsSettings, 'accountSlots' | 'marketSlots'> & Partial<AccountsSettings>

/** The machine of the account slots: what members own, what is reserved for their orders, and which of them are open. */
export function createAccountsRules(options: AccountsOptions): Rules<AccountsState, AccountItem, AccountEvent> {
  const settings: AccountsSettings = {
    openOrdersMax: OPEN_ORDERS_MAX,
    rememberedIdsMax: Math.max(1, Math.floor(REMEMBERED_IDS_MAX / options.accountSlots)),
    rememberedUs: REMEMBERED_US,
    ...options,
  }
  return {
    log: Log.accounts,
    initialState: (slot) => initialAccountsState(slot, settings),
    apply: (state, item, context) => {
      // What the edge writes is checked here, and may be an edge's command only; the slots are trusted.
      if (context.source !== 'cmd') applySlotItem(state, item, context)
      else if (isEdgeCommand(item)) applyEdgeCommand(state, item, context)
    },
    stateHash: accountsStateHash,
    snapshots: {
      version: ACCOUNTS_PACKED_VERSION,
      pack: packAccounts,
      unpack: (slot, packed) => unpackAccounts(slot, settings, packed),
    },
  }
}

function applyEdgeCommand(state: AccountsState, command: AccountEdgeCommand, context: AccountsContext) {
  switch (command.type) {
    case 'PlaceOrder':
      return placeOrder(state, command, context)
    case 'CancelOrder':
      return cancelOrder(state, command, context)
    case 'AmendOrder':
      return amendOrder(state, command, context)
    case 'CancelOrders':
      return cancelOrders(state, command, context)
    case 'VoidOrder':
      return voidOrder(state, command, context)
    case 'CreateAccount':
      return createAccount(state, command, context)
    case 'SetAccountStatus':
      return setAccountStatus(state, command, context)
    case 'SetFeeDiscount':
      return setFeeDiscount(state, command, context)
    case 'Deposit':
    case 'Withdraw':
    case 'Transfer':
      return beginLedgerCommand(state, command, context)
  }
}

function applySlotItem(state: AccountsState, item: AccountItem, context: AccountsContext) {
  const sender = context.source.slice(0, context.source.lastIndexOf('-'))
  const wanted = SENDERS[item.type]
  if (wanted !== sender) throw new TypeError(`${item.type} does not come from ${context.source}`)
  switch (item.type) {
    case 'OrderOutcome':
      return bookOutcome(state, item, context)
    case 'OrderCommandRefused':
      return bookRefusal(state, item, context)
    case 'AssetKnown':
      return learnAsset(state, item.asset.asset)
    case 'MarketKnown':
      return learnMarket(state, item.market)
    case 'ClaimReference':
      return claimReference(state, item, context)
    case 'ReferenceClaimed':
      return bookClaimed(state, item, context)
    case 'CreditTransfer':
      return creditTransfer(state, item, context)
    case 'TransferSettled':
      return settleTransfer(state, item, context)
    default:
      throw new TypeError(`${item.type} is a command of the edge`)
  }
}

/** The log whose slots send an item. */
const SENDERS: Readonly<Record<string, Log | undefined>> = {
  OrderOutcome: Log.markets,
  OrderCommandRefused: Log.markets,
  AssetKnown: Log.definitions,
  MarketKnown: Log.definitions,
  ClaimReference: Log.accounts,
  ReferenceClaimed: Log.accounts,
  CreditTransfer: Log.accounts,
  TransferSettled: Log.accounts,
}

/** Idempotent by what it does. */
function createAccount(state: AccountsState, command: CreateAccount, context: AccountsContext) {
  const { commandId, memberId, replyTo } = command
  if (accountSlotOf(memberId, state.settings.accountSlots) !== state.slot) {
    return refuse(command, 'member_unknown', context)
  }
  if (state.members.find(memberId) === NONE) {
    state.members.add(memberId)
    context.emit({ type: 'AccountCreated', memberId })
  }
  context.reply(replyTo, { kind: 'account', commandId, memberId }, 'here')
}

/** A closed account stays closed. */
function setAccountStatus(state: AccountsState, command: SetAccountStatus, context: AccountsContext) {
  if (answeredAsRepeat(state, command, command.status, context)) return
  const { commandId, memberId, replyTo, status } = command
  const member = state.members.find(memberId)
  if (member === NONE) return refuse(command, 'member_unknown', context)
  const before = state.members.statusOf(member)
  if (before === 'closed' && status !== 'closed') return refuse(command, 'member_closed', context)
  if (before !== status) {
    state.members.setStatus(member, status)
    context.emit({ type: 'AccountStatusChanged', memberId, status })
  }
  context.reply(replyTo, { kind: 'account', commandId, memberId }, 'here')
}

/** Orders that are there keep the rates that they came with. */
function setFeeDiscount(state: AccountsState, command: SetFeeDiscount, context: AccountsContext) {
  const { commandId, memberId, replyTo, day, discountPpm } = command
  if (state.members.find(memberId) === NONE) return refuse(command, 'member_unknown', context)
  if (state.feeDiscounts.set(memberId, day, discountPpm)) {
    context.emit({ type: 'FeeDiscountChanged', memberId, day, discountPpm })
  }
  context.reply(replyTo, { kind: 'account', commandId, memberId }, 'here')
}

function refuse(
  { commandId, replyTo }: { readonly commandId: number; readonly replyTo: string },
  code: MachineCode,
  context: AccountsContext,
) {
  context.reply(replyTo, { kind: 'ledgerRefused', commandId, code })
}

/**
 * Whether an item of the edge has the shape that the rules rely on. One that has not is passed over: it changes nothing,
 * and it must not halt the slot. Prices, amounts and money are judged by the rules themselves.
 */
function isEdgeCommand(item: unknown): item is AccountEdgeCommand {
  if (typeof item !== 'object' || item === null) return false
  const command = item as Fields
  if (!isId(command.commandId) || !isId(command.memberId) || typeof command.replyTo !== 'string') return false
  if (command.sentAtUs !== undefined && typeof command.sentAtUs !== 'number') return false
  if (command.clientOrderId !== undefined && !isClientOrderId(command.clientOrderId)) return false
  if (command.origin !== undefined && command.origin !== 'rabbitmq' && command.origin !== 'kafka') return false
  switch (command.type) {
    case 'PlaceOrder':
      return isPlaceOrder(command)
    case 'CancelOrder':
    case 'AmendOrder':
      if (command.requestId !== undefined && !isClientOrderId(command.requestId)) return false
      return command.orderId === undefined || isId(command.orderId)
    case 'CancelOrders':
    case 'CreateAccount':
      return true
    case 'VoidOrder':
      return isId(command.orderId)
    case 'SetAccountStatus':
      return STATUSES.has(command.status)
    case 'SetFeeDiscount':
      return isWhole(command.day, 1, DAY_MAX) && isWhole(command.discountPpm, 0, PPM)
    case 'Transfer':
      return isId(command.toMemberId) && isLedgerCommand(command)
    case 'Deposit':
    case 'Withdraw':
      return isLedgerCommand(command)
    default:
      return false
  }
}

type Fields = Readonly<Record<string, unknown>>

const STATUSES: ReadonlySet<unknown> = new Set<AccountStatus>(['active', 'blocked', 'closed'])
const REFERENCE_CHARS_MAX = 256
/** The last day of 9999. */
const DAY_MAX = 2_932_896
const PPM = 1_000_000
const CLIENT_ORDER_ID = /^[A-Za-z0-9._-]{1,64}$/

const isId = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) > 0

const isWhole = (value: unknown, min: number, max: number): boolean =>
  Number.isSafeInteger(value) && Number(value) >= min && Number(value) <= max

const isClientOrderId = (value: unknown): boolean => typeof value === 'string' && CLIENT_ORDER_ID.test(value)

function isPlaceOrder({ contentHash, instrument, side, orderType, createdAtUs }: Fields): boolean {
  if (!Number.isSafeInteger(contentHash) || Number(contentHash) < 0) return false
  if (typeof instrument !== 'string' || typeof createdAtUs !== 'number') return false
  return (side === 'buy' || side === 'sell') && (orderType === 'limit' || orderType === 'market')
}

function isLedgerCommand({ reference, asset, amountMinor }: Fields): boolean {
  if (typeof reference !== 'string' || reference.length > REFERENCE_CHARS_MAX) return false
  return typeof asset === 'string' && typeof amountMinor === 'string'
}
