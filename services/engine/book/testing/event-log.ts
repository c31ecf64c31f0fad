import type { BookSink, EndReason } from '../book.ts'

const REASONS = ['filled', 'no_liquidity', 'worst_price', 'fills_limit', 'less_than_one_lot']

/** Writes every event down as a line. Slots are left out: they are layout. */
export class EventLog implements BookSink {
  #lines: string[] = []

  /** What was written since the last call. */
  take(): string[] {
    const lines = this.#lines
    this.#lines = []
    return lines
  }

  traded(makerId: number, _slot: number, takerId: number, priceTicks: number, lots: number, left: number): void {
    this.#lines.push(`${takerId} trades ${lots} @ ${priceTicks} with ${makerId}, ${left} left`)
  }

  rested(orderId: number, _slot: number, remainingLots: number): void {
    this.#lines.push(`${orderId} rests ${remainingLots}`)
  }

  reduced(orderId: number, _slot: number, remainingLots: number): void {
    this.#lines.push(`${orderId} reduced to ${remainingLots}`)
  }

  cancelled(orderId: number, _slot: number, remainingLots: number): void {
    this.#lines.push(`${orderId} cancelled ${remainingLots}`)
  }

  ended(orderId: number, _slot: number, remaining: number, reason: EndReason): void {
    this.#lines.push(`${orderId} ended ${remaining} ${REASONS[reason]}`)
  }
}
