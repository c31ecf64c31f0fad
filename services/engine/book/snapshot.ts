import { StateHash } from './state-hash.ts'

/** Why a snapshot was refused; highest precedence first. */
export type SnapshotRejectCode =
  | 'snapshot_unknown' // not bytes that begin like a snapshot of a book
  | 'snapshot_version_unknown'
  | 'snapshot_damaged' // too short, too long, or another checksum
  | 'snapshot_inconsistent' // not the state of any book, or of a larger one than this may be

/**
 * Little-endian: magic, version, orders, slots in use or freed (32 bits each); the orders, bids first, best price first, then
 * first come; the free slots, next one first (32 bits each); a checksum of all that (two times 32 bits).
 */
const MAGIC = 0x4b4f4f42
const VERSION = 1
const HEADER_BYTES = 16
const CHECKSUM_BYTES = 8

// An order: id, remaining and total lots (floats of 64 bits), price (above zero for a bid, below for an ask), slot.
const ORDER_BYTES = 32
const REMAINING_AT = 8
const TOTAL_AT = 16
const PRICE_AT = 24
const SLOT_AT = 28

export interface Snapshot {
  readonly ordersCount: number
  readonly slotsUsed: number
  orderIdAt(index: number): number
  remainingLotsAt(index: number): number
  totalLotsAt(index: number): number
  signedPriceAt(index: number): number
  slotAt(index: number): number
  freeSlotAt(index: number): number
}

export class SnapshotWriter {
  readonly #view: DataView
  #at = HEADER_BYTES

  constructor(ordersCount: number, slotsUsed: number) {
    this.#view = new DataView(new ArrayBuffer(bytesOf(ordersCount, slotsUsed)))
    this.#view.setUint32(0, MAGIC, true)
    this.#view.setUint32(4, VERSION, true)
    this.#view.setUint32(8, ordersCount, true)
    this.#view.setUint32(12, slotsUsed, true)
  }

  order(orderId: number, remainingLots: number, totalLots: number, signedPrice: number, slot: number): void {
    const at = this.#at
    this.#view.setFloat64(at, orderId, true)
    this.#view.setFloat64(at + REMAINING_AT, remainingLots, true)
    this.#view.setFloat64(at + TOTAL_AT, totalLots, true)
    this.#view.setInt32(at + PRICE_AT, signedPrice, true)
    this.#view.setUint32(at + SLOT_AT, slot, true)
    this.#at += ORDER_BYTES
  }

  freeSlot(slot: number): void {
    this.#view.setUint32(this.#at, slot, true)
    this.#at += 4
  }

  finish(): Uint8Array {
    const [a, b] = checksum(this.#view)
    this.#view.setUint32(this.#at, a, true)
    this.#view.setUint32(this.#at + 4, b, true)
    return new Uint8Array(this.#view.buffer)
  }
}

/** Checks everything but what the numbers mean. */
export function readSnapshot(bytes: unknown): Snapshot | SnapshotRejectCode {
  if (!(bytes instanceof Uint8Array) || bytes.byteLength < HEADER_BYTES) return 'snapshot_unknown'
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (view.getUint32(0, true) !== MAGIC) return 'snapshot_unknown'
  if (view.getUint32(4, true) !== VERSION) return 'snapshot_version_unknown'
  const ordersCount = view.getUint32(8, true)
  const slotsUsed = view.getUint32(12, true)
  if (slotsUsed < ordersCount || view.byteLength !== bytesOf(ordersCount, slotsUsed)) return 'snapshot_damaged'
  const [a, b] = checksum(view)
  const checksumAt = view.byteLength - CHECKSUM_BYTES
  if (view.getUint32(checksumAt, true) !== a || view.getUint32(checksumAt + 4, true) !== b) return 'snapshot_damaged'
  const atOrder = (index: number) => HEADER_BYTES + index * ORDER_BYTES
  return {
    ordersCount,
    slotsUsed,
    orderIdAt: (index) => view.getFloat64(atOrder(index), true),
    remainingLotsAt: (index) => view.getFloat64(atOrder(index) + REMAINING_AT, true),
    totalLotsAt: (index) => view.getFloat64(atOrder(index) + TOTAL_AT, true),
    signedPriceAt: (index) => view.getInt32(atOrder(index) + PRICE_AT, true),
    slotAt: (index) => view.getUint32(atOrder(index) + SLOT_AT, true),
    freeSlotAt: (index) => view.getUint32(atOrder(ordersCount) + index * 4, true),
  }
}

function bytesOf(ordersCount: number, slotsUsed: number): number {
  return HEADER_BYTES + ordersCount * ORDER_BYTES + (slotsUsed - ordersCount) * 4 + CHECKSUM_BYTES
}

function checksum(view: DataView): readonly [number, number] {
  const hash = new StateHash()
  const end = view.byteLength - CHECKSUM_BYTES
  for (let at = 0; at < end; at += 4) hash.word(view.getInt32(at, true))
  return hash.lanes()
}
