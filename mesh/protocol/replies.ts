import type { BalanceAfter } from './accounts.ts'
import type { Fill, MachineCode, OrderState } from './common.ts'
import type { AssetDefinition, MarketDefinition } from './definitions.ts'

/**
 * Results on their way back to the instance that sent the command, on core NATS as a JSON array.
 * They leave when everything that they tell is stored. They may come twice, late, or (after a crash) never.
 * The runtime adds `position`, `<stream sequence>-<item>-<event>` in the member's slot, where the reply follows an item there; and where
 * tracing is on, `hops` and `span` (mesh/telemetry).
 */
export type Reply =
  /** From the engine: a new order, a cancel or an amendment, done (also when the engine rejected the new order). */
  | {
      readonly kind: 'order'
      readonly cause: 'placed' | 'cancelled' | 'amended'
      readonly commandId: number
      readonly order: OrderState
      readonly fills: readonly Fill[]
      readonly position?: string
    }
  /** From accounts: an order that was refused there. */
  | { readonly kind: 'rejected'; readonly commandId: number; readonly order: OrderState; readonly position?: string }
  /** A cancel or an amendment that was refused, by accounts or by the engine; `orderId` is 0 where the order is not known. */
  | { readonly kind: 'refused'; readonly commandId: number; readonly orderId: number; readonly code: MachineCode }
  /** From accounts: the id or clientOrderId is known; `same` says whether with the same content. Ask for the order. */
  | { readonly kind: 'repeat'; readonly commandId: number; readonly orderId: number; readonly same: boolean }
  /** From accounts: the id was voided before the order came. */
  | { readonly kind: 'void'; readonly commandId: number; readonly orderId: number; readonly placed: boolean }
  /** From accounts: so many cancels are on their way; each is answered by the engine with this commandId. */
  | { readonly kind: 'cancels'; readonly commandId: number; readonly orderIds: readonly number[] }
  /** From accounts: a deposit, withdrawal or transfer that was booked (now or by the command that this one repeats). */
  | {
      readonly kind: 'booked'
      readonly commandId: number
      readonly reference: string
      readonly repeated: boolean
      readonly balances: readonly BalanceAfter[]
      readonly position?: string
    }
  /** A ledger, account or definition command that was refused. */
  | { readonly kind: 'ledgerRefused'; readonly commandId: number; readonly code: MachineCode }
  /** Account created or its status changed. */
  | { readonly kind: 'account'; readonly commandId: number; readonly memberId: number }
  | {
      readonly kind: 'defined'
      readonly commandId: number
      readonly asset?: AssetDefinition
      readonly market?: MarketDefinition
    }
