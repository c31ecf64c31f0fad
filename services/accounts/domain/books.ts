import assert from 'node:assert/strict'
import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { BalanceAfter } from '#mesh/protocol/accounts.ts'
import { hashPair, type RecordsHash } from './hashes.ts'
import type { Members } from './members.ts'
import { NONE, RowIndex } from './row-index.ts'
import { Rows } from './rows.ts'

/** Fields of a balance's row: two 64-bit integers, then words of 32 bits. */
const ROW_SIZE = 4
const AVAILABLE = 0
const HELD = 1
const MEMBER = 4
const ASSET = 5
const NEXT = 6

/** The slot's own books of one asset. Everything that members have comes from or goes to one of these. */
export interface AssetBooks {
  readonly asset: string
  /** Sums over the members. */
  availableMinor: bigint
  heldMinor: bigint
  feesMinor: bigint
  /** Deposits minus withdrawals. */
  depositedMinor: bigint
  /** By engine slot: what its trades took from this slot's members and fees, less what they gave. */
  readonly marketsMinor: Map<number, bigint>
  /** By account slot: what transfers took to it, less what they brought from it. */
  readonly transfersMinor: Map<number, bigint>
}

/**
 * Balances and the slot's own accounts. Every method moves money from one account to another, so that per asset
 * available + held + fees + markets + transfers − deposited is zero after each.
 */
export class Books {
  readonly #members: Members
  readonly #assets: AssetBooks[] = []
  #rows = new Rows(ROW_SIZE)
  #index = new RowIndex((row) => hashPair(this.memberOf(row), this.assetOf(row)))

  constructor(members: Members) {
    this.#members = members
  }

  /** Balances that members ever had. */
  get count(): number {
    return this.#rows.end
  }

  /** Assets are numbered in the order in which they were defined. */
  addAsset(asset: string): number {
    this.#assets.push({
      asset,
      availableMinor: 0n,
      heldMinor: 0n,
      feesMinor: 0n,
      depositedMinor: 0n,
      marketsMinor: new Map(),
      transfersMinor: new Map(),
    })
    return this.#assets.length - 1
  }

  assetBooks(): readonly AssetBooks[] {
    return this.#assets
  }

  ofAsset(asset: number): AssetBooks {
    const books = this.#assets[asset]
    assert(books !== undefined, 'the asset is known')
    return books
  }

  /** The balance's row, or NONE where the member never had any of the asset. */
  find(member: number, asset: number): number {
    for (let row = this.#index.first(hashPair(member, asset)); row !== NONE; row = this.#index.next()) {
      if (this.memberOf(row) === member && this.assetOf(row) === asset) return row
    }
    return NONE
  }

  /** The balance's row; a new one begins at zero. */
  open(member: number, asset: number): number {
    const known = this.find(member, asset)
    if (known !== NONE) return known
    const row = this.#rows.take()
    const { words } = this.#rows.page(row)
    const at = this.#rows.at(row) * 2
    words[at + MEMBER] = member
    words[at + ASSET] = asset
    words[at + NEXT] = this.#members.firstBalanceOf(member) + 1
    this.#index.insertHere(row)
    this.#members.setFirstBalance(member, row)
    return row
  }

  available(row: number): bigint {
    return row === NONE ? 0n : (this.#rows.page(row).bigs[this.#rows.at(row) + AVAILABLE] ?? 0n)
  }

  held(row: number): bigint {
    return row === NONE ? 0n : (this.#rows.page(row).bigs[this.#rows.at(row) + HELD] ?? 0n)
  }

  memberOf(row: number): number {
    return this.#rows.page(row).words[this.#rows.at(row) * 2 + MEMBER] ?? 0
  }

  assetOf(row: number): number {
    return this.#rows.page(row).words[this.#rows.at(row) * 2 + ASSET] ?? 0
  }

  /** The member's next balance, or NONE. */
  nextOf(row: number): number {
    return (this.#rows.page(row).words[this.#rows.at(row) * 2 + NEXT] ?? 0) - 1
  }

  after(row: number): BalanceAfter {
    return [this.ofAsset(this.assetOf(row)).asset, this.available(row).toString(), this.held(row).toString()]
  }

  reserve(row: number, amountMinor: bigint): void {
    this.#changeAvailable(row, -amountMinor)
    this.#changeHeld(row, amountMinor)
  }

  release(row: number, amountMinor: bigint): void {
    this.#changeHeld(row, -amountMinor)
    this.#changeAvailable(row, amountMinor)
  }

  /** What was held for an order was paid in a trade of an engine slot. */
  consume(row: number, amountMinor: bigint, marketSlot: number): void {
    this.#changeHeld(row, -amountMinor)
    add(this.ofAsset(this.assetOf(row)).marketsMinor, marketSlot, amountMinor)
  }

  /** What a trade of an engine slot gave, the fee taken off. */
  receive(row: number, grossMinor: bigint, feeMinor: bigint, marketSlot: number): void {
    assert(feeMinor >= 0n && feeMinor <= grossMinor, 'a fee is a part of what is received')
    this.#changeAvailable(row, grossMinor - feeMinor)
    const books = this.ofAsset(this.assetOf(row))
    books.feesMinor += feeMinor
    add(books.marketsMinor, marketSlot, -grossMinor)
  }

  /** Negative for a withdrawal. */
  deposit(row: number, amountMinor: bigint): void {
    this.#changeAvailable(row, amountMinor)
    this.ofAsset(this.assetOf(row)).depositedMinor += amountMinor
  }

  /** Money on its way to another account slot (or this one); negative where it comes from there, or back. */
  transferOut(row: number, amountMinor: bigint, otherSlot: number): void {
    this.#changeAvailable(row, -amountMinor)
    add(this.ofAsset(this.assetOf(row)).transfersMinor, otherSlot, amountMinor)
  }

  pack(packer: Packer): void {
    this.#rows.pack(packer)
    this.#index.pack(packer)
    packer.json(this.#assets.map(toPacked))
  }

  static unpack(members: Members, packed: Unpacker): Books {
    const books = new Books(members)
    books.#rows = Rows.unpack(ROW_SIZE, packed)
    books.#index = RowIndex.unpack((row) => hashPair(books.memberOf(row), books.assetOf(row)), packed)
    books.#assets.push(...(packed.json() as PackedAsset[]).map(fromPacked))
    return books
  }

  addTo(hash: RecordsHash, kind: number): void {
    for (let row = 0; row < this.#rows.end; row++) {
      hash
        .begin(kind)
        .number(this.#members.idOf(this.memberOf(row)))
        .text(this.ofAsset(this.assetOf(row)).asset)
      hash.bigint(this.available(row)).bigint(this.held(row)).end()
    }
    for (const books of this.#assets) {
      hash
        .begin(kind + 1)
        .text(books.asset)
        .bigint(books.feesMinor)
        .bigint(books.depositedMinor)
      hash.bigint(books.availableMinor).bigint(books.heldMinor).end()
      for (const [slot, minor] of books.marketsMinor) {
        hash
          .begin(kind + 2)
          .text(books.asset)
          .number(slot)
          .bigint(minor)
          .end()
      }
      for (const [slot, minor] of books.transfersMinor) {
        hash
          .begin(kind + 3)
          .text(books.asset)
          .number(slot)
          .bigint(minor)
          .end()
      }
    }
  }

  #changeAvailable(row: number, byMinor: bigint): void {
    const { bigs } = this.#rows.page(row)
    const at = this.#rows.at(row) + AVAILABLE
    const next = (bigs[at] ?? 0n) + byMinor
    assert(next >= 0n, 'nothing is spent that is not available')
    assert(next <= BALANCE_MINOR_MAX, 'a balance stays within 63 bits')
    bigs[at] = next
    this.ofAsset(this.assetOf(row)).availableMinor += byMinor
  }

  #changeHeld(row: number, byMinor: bigint): void {
    const { bigs } = this.#rows.page(row)
    const at = this.#rows.at(row) + HELD
    const next = (bigs[at] ?? 0n) + byMinor
    assert(next >= 0n, 'no hold goes below zero')
    bigs[at] = next
    this.ofAsset(this.assetOf(row)).heldMinor += byMinor
  }
}

/** An asset's books in JSON, which has no large whole numbers. */
interface PackedAsset {
  readonly asset: string
  /** Available, held, fees, deposited. */
  readonly sums: readonly string[]
  readonly markets: readonly (readonly [number, string])[]
  readonly transfers: readonly (readonly [number, string])[]
}

const toPacked = (books: AssetBooks): PackedAsset => ({
  asset: books.asset,
  sums: [books.availableMinor, books.heldMinor, books.feesMinor, books.depositedMinor].map(String),
  markets: [...books.marketsMinor].map(([slot, minor]) => [slot, String(minor)]),
  transfers: [...books.transfersMinor].map(([slot, minor]) => [slot, String(minor)]),
})

function fromPacked({ asset, sums, markets, transfers }: PackedAsset): AssetBooks {
  const [availableMinor = 0n, heldMinor = 0n, feesMinor = 0n, depositedMinor = 0n] = sums.map(BigInt)
  const minors = (packed: PackedAsset['markets']) => new Map(packed.map(([slot, minor]) => [slot, BigInt(minor)]))
  const accounts = { marketsMinor: minors(markets), transfersMinor: minors(transfers) }
  return { asset, availableMinor, heldMinor, feesMinor, depositedMinor, ...accounts }
}

const BALANCE_MINOR_MAX = 2n ** 63n - 1n

function add(accounts: Map<number, bigint>, slot: number, minor: bigint): void {
  accounts.set(slot, (accounts.get(slot) ?? 0n) + minor)
}
