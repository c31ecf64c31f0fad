import type { AccountEdgeCommand, AccountEvent, PlaceOrder } from '#mesh/protocol/accounts.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { Log } from '#mesh/subjects.ts'
import type { AccountsOptions } from '../domain/accounts-rules.ts'
import { TestMesh } from './mesh.ts'
import { createNaiveEngine, type NaiveEngineState } from './naive-engine.ts'

export const ANN = 11
export const BOB = 12
export const BLOCKED = 13
export const CLOSED = 14
/** Never has an account. */
export const NOBODY = 99

/** A command as a test says it: ids, the address for replies and times are filled in where it does not say them. */
export type Said = { readonly type: AccountEdgeCommand['type']; readonly [field: string]: unknown }

/**
 * An exchange with one slot of each kind and the market BTC-USDT (tick 0.1, lot 0.01, minimum 2 lots; scale 2: a lot is
 * 1 minor BTC; a tick-lot is 10 minor MILLI, of scale 4). Ann and Bob have 1000 minor units of each.
 */
export class OneSlot {
  readonly mesh: TestMesh<NaiveEngineState>
  #nextId = 1000

  constructor(options: Partial<AccountsOptions> = {}) {
    this.mesh = new TestMesh({ accountSlots: 1, marketSlots: 1, ...options }, createNaiveEngine())
    let commandId = 1
    const ids = () => ({ commandId: commandId++, replyTo: '' })
    this.mesh.define({ ...ids(), type: 'DefineAsset', asset: 'BTC', scale: 2 })
    this.mesh.define({ ...ids(), type: 'DefineAsset', asset: 'MILLI', scale: 4 })
    this.mesh.define({
      ...ids(),
      type: 'DefineMarket',
      instrument: 'BTC-MILLI',
      base: 'BTC',
      quote: 'MILLI',
      tick: '0.1',
      lot: '0.01',
      amountMin: '0.02',
      makerFeePpm: 10_000,
      takerFeePpm: 20_000,
      slippagePpm: 0,
    })
    this.mesh.run()
    for (const memberId of [ANN, BOB, BLOCKED, CLOSED]) {
      this.send({ type: 'CreateAccount', memberId })
      for (const asset of ['BTC', 'MILLI']) {
        this.send({ type: 'Deposit', memberId, asset, amountMinor: '1000', reference: `first ${memberId} ${asset}` })
      }
    }
    this.send({ type: 'SetAccountStatus', memberId: BLOCKED, status: 'blocked' })
    this.send({ type: 'SetAccountStatus', memberId: CLOSED, status: 'closed' })
    this.mesh.takeReplies()
    this.mesh.accountEvents.length = 0
  }

  get state() {
    const [state] = this.mesh.accounts
    if (state === undefined) throw new RangeError('no slot')
    return state
  }

  /** Sends a command and lets everything happen that it causes. @returns the replies and events. */
  send(said: Said): { readonly replies: Reply[]; readonly events: AccountEvent[] } {
    return this.sendRaw(complete(said, this.#nextId++))
  }

  sendRaw(item: object): { readonly replies: Reply[]; readonly events: AccountEvent[] } {
    this.mesh.append(Log.accounts, 0, 'cmd', item)
    this.mesh.run()
    return { replies: this.mesh.takeReplies(), events: this.mesh.accountEvents.splice(0) }
  }

  /** Sends a command that stays on its way to the market. */
  sendOnly(said: Said): { readonly replies: Reply[]; readonly events: AccountEvent[] } {
    this.mesh.append(Log.accounts, 0, 'cmd', complete(said, this.#nextId++))
    this.mesh.step()
    return { replies: this.mesh.takeReplies(), events: this.mesh.accountEvents.splice(0) }
  }

  /** `available/held` in minor units. */
  balance(memberId: number, asset: string): string {
    const row = this.state.books.find(this.state.members.find(memberId), this.state.assetRows.get(asset) ?? -1)
    return `${this.state.books.available(row)}/${this.state.books.held(row)}`
  }
}

export const ORDER: Omit<PlaceOrder, 'commandId'> = {
  type: 'PlaceOrder',
  replyTo: 'edge-1',
  memberId: ANN,
  contentHash: 7,
  instrument: 'BTC-MILLI',
  side: 'buy',
  orderType: 'limit',
  priceTicks: 5,
  amountLots: 4,
  createdAtUs: 1,
}

const complete = (said: Said, commandId: number): object => ({
  ...(said.type === 'PlaceOrder' ? ORDER : { memberId: ANN, replyTo: 'edge-1' }),
  commandId,
  ...said,
})
