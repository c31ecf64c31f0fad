import { depositsMinorMax } from '#mesh/domain/money.ts'
import type {
  AccountEvent,
  ClaimReference,
  CreditTransfer,
  Deposit,
  LedgerCommand,
  ReferenceClaimed,
  Transfer,
  TransferSettled,
  Withdraw,
} from '#mesh/protocol/accounts.ts'
import type { MachineCode } from '#mesh/protocol/common.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'
import type { AccountsContext, AccountsState } from './accounts-state.ts'
import { contentHashOf } from './hashes.ts'
import { referenceSlotOf } from './references.ts'
import { NONE } from './row-index.ts'

/**
 * A deposit, withdrawal or transfer from the edge. Its reference is good for one command in the whole exchange: the slot
 * that keeps it is asked first, unless that is this one, or this one knows what became of it.
 */
export function beginLedgerCommand(state: AccountsState, command: LedgerCommand, context: AccountsContext) {
  const home = referenceSlotOf(command.reference, state.settings.accountSlots)
  const known = state.references.find(command.reference)
  const isDecided = known !== undefined && known.result.kind !== 'claimed'
  if (home !== state.slot && !isDecided) {
    const claim: ClaimReference = { type: 'ClaimReference', command }
    context.send(Log.accounts, home, claim)
    return
  }
  const contentHash = ledgerContentHash(command)
  if (known !== undefined && known.contentHash !== contentHash) {
    return refuse(command, 'reference_conflict', context)
  }
  bookLedgerCommand(state, command, contentHash, context)
}

/** For the slot of the member: whether the reference is this command's. */
export function claimReference(state: AccountsState, { command }: ClaimReference, context: AccountsContext) {
  const contentHash = ledgerContentHash(command)
  const known = state.references.find(command.reference)
  if (known === undefined) state.references.put(command.reference, contentHash, { kind: 'claimed' })
  const isConflict = known !== undefined && known.contentHash !== contentHash
  const claimed: ReferenceClaimed = {
    type: 'ReferenceClaimed',
    command,
    ...(isConflict ? { code: 'reference_conflict' as const } : undefined),
  }
  context.send(Log.accounts, accountSlotOf(command.memberId, state.settings.accountSlots), claimed)
}

export function bookClaimed(state: AccountsState, { command, code }: ReferenceClaimed, context: AccountsContext) {
  if (code !== undefined) return refuse(command, code, context)
  bookLedgerCommand(state, command, ledgerContentHash(command), context)
}

/** For the giver's slot: whether the receiver has it. */
export function creditTransfer(state: AccountsState, transfer: CreditTransfer, context: AccountsContext) {
  const { commandId, replyTo, reference, fromMemberId, toMemberId, asset, amountMinor } = transfer
  const giverSlot = accountSlotOf(fromMemberId, state.settings.accountSlots)
  const settle = (code?: MachineCode) => {
    const settled: TransferSettled = {
      type: 'TransferSettled',
      commandId,
      replyTo,
      reference,
      fromMemberId,
      asset,
      amountMinor,
      ...(transfer.repeated ? { repeated: true } : undefined),
      ...(code === undefined ? undefined : { code }),
    }
    context.send(Log.accounts, giverSlot, settled)
  }
  // The giver's slot knows the result by the time it reads this.
  if (transfer.repeated) return settle()

  const member = state.members.find(toMemberId)
  const assetRow = state.assetRows.get(asset)
  if (member === NONE) return settle('member_unknown')
  if (state.members.statusOf(member) === 'closed') return settle('member_closed')
  if (assetRow === undefined) return settle('asset_unknown')
  const balance = state.books.open(member, assetRow)
  state.books.transferOut(balance, -BigInt(amountMinor), giverSlot)
  context.emit(changed(state, toMemberId, 'transfer_in', transfer, BigInt(amountMinor), balance))
  settle()
}

/** The giver's side of the end of a transfer: a refused one comes back. */
export function settleTransfer(state: AccountsState, settled: TransferSettled, context: AccountsContext) {
  const { commandId, replyTo, reference, code, fromMemberId } = settled
  const balance = balanceOf(state, fromMemberId, settled.asset)
  const known = state.references.find(reference)
  if (known === undefined || balance === NONE) throw new RangeError(`no transfer ${reference} is under way`)
  if (settled.repeated) return answerDecided(state, settled, known.result, balance, context)

  if (code === undefined) {
    state.references.put(reference, known.contentHash, { kind: 'booked' })
    const balances = [state.books.after(balance)]
    return context.reply(replyTo, { kind: 'booked', commandId, reference, repeated: false, balances }, 'here')
  }
  state.references.put(reference, known.contentHash, { kind: 'refused', code })
  const amountMinor = BigInt(settled.amountMinor)
  state.books.transferOut(balance, -amountMinor, receiverSlotOf(context.source))
  context.emit(changed(state, fromMemberId, 'transfer_returned', settled, amountMinor, balance))
  refuse({ commandId, replyTo, reference, memberId: fromMemberId }, code, context)
}

/** Books a command whose reference is its own, or answers it as before. */
function bookLedgerCommand(
  state: AccountsState,
  command: LedgerCommand,
  contentHash: number,
  context: AccountsContext,
) {
  const known = state.references.find(command.reference)
  if (known !== undefined && known.result.kind !== 'claimed') {
    if (known.result.kind === 'under_way' && command.type === 'Transfer') {
      return sendCredit(state, command, context, { repeated: true })
    }
    return answerDecided(state, command, known.result, balanceOf(state, command.memberId, command.asset), context)
  }
  const code = whyNot(state, command)
  if (code !== undefined) {
    state.references.put(command.reference, contentHash, { kind: 'refused', code })
    return refuse(command, code, context)
  }
  switch (command.type) {
    case 'Deposit':
      return book(state, command, contentHash, context, BigInt(command.amountMinor))
    case 'Withdraw':
      return book(state, command, contentHash, context, -BigInt(command.amountMinor))
    case 'Transfer':
      return beginTransfer(state, command, contentHash, context)
  }
}

/** Why a deposit, withdrawal or transfer is refused; the first that holds. */
function whyNot(state: AccountsState, command: LedgerCommand): MachineCode | undefined {
  const member = state.members.find(command.memberId)
  if (member === NONE) return 'member_unknown'
  const status = state.members.statusOf(member)
  if (status === 'blocked' && command.type !== 'Deposit') return 'member_blocked'
  if (status === 'closed') return 'member_closed'
  const asset = state.assetRows.get(command.asset)
  if (asset === undefined) return 'asset_unknown'
  if (!AMOUNT.test(command.amountMinor)) return 'amount_invalid'
  const amountMinor = BigInt(command.amountMinor)
  if (command.type !== 'Deposit') {
    return amountMinor > state.books.available(state.books.find(member, asset)) ? 'insufficient_balance' : undefined
  }
  const depositedMinor = state.books.ofAsset(asset).depositedMinor + amountMinor
  return depositedMinor > depositsMinorMax(state.settings.accountSlots) ? 'balance_overflow' : undefined
}

/** Above zero, plain, and short enough to be looked at. */
const AMOUNT = /^[1-9][0-9]{0,39}$/

function book(
  state: AccountsState,
  command: Deposit | Withdraw,
  contentHash: number,
  context: AccountsContext,
  changeMinor: bigint,
) {
  const balance = state.books.open(state.members.find(command.memberId), state.assetRows.get(command.asset) ?? NONE)
  state.books.deposit(balance, changeMinor)
  state.references.put(command.reference, contentHash, { kind: 'booked' })
  const { commandId, reference, memberId, replyTo } = command
  const cause = command.type === 'Deposit' ? 'deposit' : 'withdrawal'
  context.emit(changed(state, memberId, cause, command, changeMinor, balance))
  const balances = [state.books.after(balance)]
  context.reply(replyTo, { kind: 'booked', commandId, reference, repeated: false, balances }, 'here')
}

/** Takes the money from the giver and sends it on; the answer comes when it has arrived. */
function beginTransfer(state: AccountsState, command: Transfer, contentHash: number, context: AccountsContext) {
  const amountMinor = BigInt(command.amountMinor)
  const balance = balanceOf(state, command.memberId, command.asset)
  const receiverSlot = accountSlotOf(command.toMemberId, state.settings.accountSlots)
  state.books.transferOut(balance, amountMinor, receiverSlot)
  state.references.put(command.reference, contentHash, { kind: 'under_way' })
  context.emit(changed(state, command.memberId, 'transfer_out', command, -amountMinor, balance))
  sendCredit(state, command, context, {})
}

function sendCredit(
  state: AccountsState,
  command: Transfer,
  context: AccountsContext,
  repeated: { readonly repeated?: true },
) {
  const { commandId, replyTo, reference, memberId, toMemberId, asset, amountMinor } = command
  const credit: CreditTransfer = {
    type: 'CreditTransfer',
    commandId,
    replyTo,
    reference,
    fromMemberId: memberId,
    toMemberId,
    asset,
    amountMinor,
    ...repeated,
  }
  context.send(Log.accounts, accountSlotOf(toMemberId, state.settings.accountSlots), credit)
}

type Decided = NonNullable<ReturnType<AccountsState['references']['find']>>['result']

/** A repeat gets the answer of the command that it repeats, with the balance as it is now. */
function answerDecided(
  state: AccountsState,
  {
    commandId,
    replyTo,
    reference,
  }: { readonly commandId: number; readonly replyTo: string; readonly reference: string },
  result: Decided,
  balance: number,
  context: AccountsContext,
) {
  if (result.kind === 'refused') {
    return context.reply(replyTo, { kind: 'ledgerRefused', commandId, code: result.code })
  }
  if (result.kind !== 'booked') throw new RangeError(`${reference} is ${result.kind}`)
  const balances = balance === NONE ? [] : [state.books.after(balance)]
  context.reply(replyTo, { kind: 'booked', commandId, reference, repeated: true, balances }, 'here')
}

function refuse(
  command: { readonly commandId: number; readonly replyTo: string; readonly reference: string; memberId: number },
  code: MachineCode,
  context: AccountsContext,
) {
  const { commandId, replyTo, reference, memberId } = command
  context.emit({ type: 'LedgerCommandRefused', memberId, commandId, reference, code })
  context.reply(replyTo, { kind: 'ledgerRefused', commandId, code })
}

function changed(
  state: AccountsState,
  memberId: number,
  cause: Extract<AccountEvent, { type: 'BalanceChanged' }>['cause'],
  { reference, asset }: { readonly reference: string; readonly asset: string },
  changeMinor: bigint,
  balance: number,
): AccountEvent {
  const balances = [state.books.after(balance)]
  return { type: 'BalanceChanged', memberId, cause, reference, asset, amountMinor: changeMinor.toString(), balances }
}

function balanceOf(state: AccountsState, memberId: number, asset: string): number {
  const member = state.members.find(memberId)
  const assetRow = state.assetRows.get(asset)
  return member === NONE || assetRow === undefined ? NONE : state.books.find(member, assetRow)
}

const receiverSlotOf = (source: string): number => Number(source.slice(source.lastIndexOf('-') + 1))

function ledgerContentHash(command: LedgerCommand): number {
  const to = command.type === 'Transfer' ? command.toMemberId : ''
  return contentHashOf(`${command.type}|${command.memberId}|${command.asset}|${command.amountMinor}|${to}`)
}
