import { PackedInvalid, type Packer, type Unpacker } from '#mesh/domain/packed.ts'

/** A run of rows in one buffer, seen as numbers, as 64-bit integers and as 32-bit words. */
export interface Page {
  readonly numbers: Float64Array
  readonly bigs: BigInt64Array
  readonly words: Uint32Array
}

const PAGE_BITS = 10
const PAGE_ROWS = 1 << PAGE_BITS

/**
 * Records of a fixed size (in units of 8 bytes), outside the JavaScript heap: a million of them cost the collector
 * nothing, and growing copies nothing. A row's fields are at `page(row)`, from `at(row)` on (words: from twice that).
 */
export class Rows {
  readonly #size: number
  readonly #pages: Page[] = []
  readonly #free: number[] = []
  #end = 0

  constructor(size: number) {
    this.#size = size
  }

  /** Rows were taken in 0..end−1; some may be free again. */
  get end(): number {
    return this.#end
  }

  /** Rows that are taken. */
  get count(): number {
    return this.#end - this.#free.length
  }

  page(row: number): Page {
    const page = this.#pages[row >>> PAGE_BITS]
    if (page === undefined) throw new RangeError(`no row ${row}`)
    return page
  }

  at(row: number): number {
    return (row & (PAGE_ROWS - 1)) * this.#size
  }

  /** A row of zeros. */
  take(): number {
    const freed = this.#free.pop()
    if (freed !== undefined) return freed
    const row = this.#end++
    if (row >>> PAGE_BITS === this.#pages.length) {
      this.#pages.push(pageIn(new ArrayBuffer(PAGE_ROWS * this.#size * 8)))
    }
    return row
  }

  give(row: number): void {
    const at = this.at(row)
    this.page(row).numbers.fill(0, at, at + this.#size)
    this.#free.push(row)
  }

  pack(packer: Packer): void {
    packer.numbers([this.#size, this.#end]).numbers(this.#free)
    for (const { words } of this.#pages) packer.bytes(words)
  }

  /** Rows of the same size, numbered as they were, free ones included. */
  static unpack(size: number, packed: Unpacker): Rows {
    const rows = new Rows(size)
    const [packedSize, end = 0] = packed.numbers()
    if (packedSize !== size) throw new PackedInvalid(`Rows of ${packedSize} units are not rows of ${size}.`)
    rows.#end = end
    for (const row of packed.numbers()) rows.#free.push(row)
    for (let row = 0; row < end; row += PAGE_ROWS) rows.#pages.push(pageIn(packed.buffer(PAGE_ROWS * size * 8)))
    return rows
  }
}

const pageIn = (buffer: ArrayBuffer): Page => ({
  numbers: new Float64Array(buffer),
  bigs: new BigInt64Array(buffer),
  words: new Uint32Array(buffer),
})
