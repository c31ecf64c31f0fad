import type { BookSink, EndReason } from '../book/book.ts'

const NONE = -1

/**
 * What the book did during one command, kept until the command is settled. One for all books of a slot.
 * A place in the book is free again as soon as its order is gone, so what stands in the records of the makers must be
 * settled before the taker's record is written: it may get the place of one of them.
 */
export class Execution implements BookSink {
  /** As many of the lists' entries mean something; the lists keep their room. */
  fillsCount = 0
  readonly makerIds: number[] = []
  readonly makerPlaces: number[] = []
  readonly makerRemainingLots: number[] = []
  readonly pricesTicks: number[] = []
  readonly lots: number[] = []
  /** Where the order rests after the command; −1: it is gone. */
  restingPlace: number = NONE
  /** Lots that rest. */
  restingLots = 0
  /** Why the order is gone. */
  endReason: EndReason | undefined

  begin(): void {
    this.fillsCount = 0
    this.restingPlace = NONE
    this.restingLots = 0
    this.endReason = undefined
  }

  traded(
    makerId: number,
    makerPlace: number,
    _takerId: number,
    priceTicks: number,
    lots: number,
    makerRemainingLots: number,
  ): void {
    const index = this.fillsCount++
    this.makerIds[index] = makerId
    this.makerPlaces[index] = makerPlace
    this.makerRemainingLots[index] = makerRemainingLots
    this.pricesTicks[index] = priceTicks
    this.lots[index] = lots
  }

  rested(_orderId: number, place: number, remainingLots: number): void {
    this.restingPlace = place
    this.restingLots = remainingLots
  }

  reduced(orderId: number, place: number, remainingLots: number): void {
    this.rested(orderId, place, remainingLots)
  }

  cancelled(): void {}

  ended(_orderId: number, _place: number, _remaining: number, reason: EndReason): void {
    this.endReason = reason
  }
}
