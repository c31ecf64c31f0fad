import type { Packer, Unpacker } from '#mesh/domain/packed.ts'
import type { AccountStatus } from '#mesh/protocol/accounts.ts'
import { hashNumber, type RecordsHash } from './hashes.ts'
import { NONE, RowIndex } from './row-index.ts'
import { Rows } from './rows.ts'

const STATUSES: readonly AccountStatus[] = ['active', 'blocked', 'closed']

/** Fields of a member's row. */
const ROW_SIZE = 3
const ID = 0
const STATUS = 2
const OPEN_ORDERS = 3
const FIRST_ORDER = 4
const FIRST_BALANCE = 5

/** The members of a slot. A member's row never changes; it is how the other tables name him. */
export class Members {
  #rows = new Rows(ROW_SIZE)
  #index = new RowIndex((row) => hashNumber(this.idOf(row)))

  get count(): number {
    return this.#rows.end
  }

  /** The row, or NONE. */
  find(memberId: number): number {
    for (let row = this.#index.first(hashNumber(memberId)); row !== NONE; row = this.#index.next()) {
      if (this.idOf(row) === memberId) return row
    }
    return NONE
  }

  /** Adds a member who is not there yet. */
  add(memberId: number): number {
    if (this.find(memberId) !== NONE) throw new RangeError(`member ${memberId} is known`)
    const row = this.#rows.take()
    this.#rows.page(row).numbers[this.#rows.at(row) + ID] = memberId
    this.#index.insertHere(row)
    return row
  }

  idOf(row: number): number {
    return this.#rows.page(row).numbers[this.#rows.at(row) + ID] ?? 0
  }

  statusOf(row: number): AccountStatus {
    return STATUSES[this.#word(row, STATUS)] ?? 'closed'
  }

  setStatus(row: number, status: AccountStatus): void {
    this.#setWord(row, STATUS, STATUSES.indexOf(status))
  }

  openOrdersOf(row: number): number {
    return this.#word(row, OPEN_ORDERS)
  }

  setOpenOrders(row: number, count: number): void {
    if (count < 0) throw new RangeError('fewer than no open orders')
    this.#setWord(row, OPEN_ORDERS, count)
  }

  /** The first of the member's open orders, or NONE. */
  firstOrderOf(row: number): number {
    return this.#word(row, FIRST_ORDER) - 1
  }

  setFirstOrder(row: number, order: number): void {
    this.#setWord(row, FIRST_ORDER, order + 1)
  }

  /** The first of the member's balances, or NONE. */
  firstBalanceOf(row: number): number {
    return this.#word(row, FIRST_BALANCE) - 1
  }

  setFirstBalance(row: number, balance: number): void {
    this.#setWord(row, FIRST_BALANCE, balance + 1)
  }

  pack(packer: Packer): void {
    this.#rows.pack(packer)
    this.#index.pack(packer)
  }

  static unpack(packed: Unpacker): Members {
    const members = new Members()
    members.#rows = Rows.unpack(ROW_SIZE, packed)
    members.#index = RowIndex.unpack((row) => hashNumber(members.idOf(row)), packed)
    return members
  }

  addTo(hash: RecordsHash, kind: number): void {
    for (let row = 0; row < this.count; row++) {
      hash.begin(kind).number(this.idOf(row)).number(this.#word(row, STATUS)).number(this.openOrdersOf(row)).end()
    }
  }

  #word(row: number, word: number): number {
    return this.#rows.page(row).words[this.#rows.at(row) * 2 + word] ?? 0
  }

  #setWord(row: number, word: number, value: number): void {
    this.#rows.page(row).words[this.#rows.at(row) * 2 + word] = value
  }
}
