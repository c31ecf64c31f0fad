/** What was unpacked is not what was packed. */
export class PackedInvalid extends Error {
  override readonly name = 'PackedInvalid'
  readonly code = 'packed_invalid'
}

/** Texts that are packed as one: what becomes of them shares memory. */
const TEXTS_PER_PART = 1024

/**
 * Packs values as a sequence of parts of bytes, each with its length before it (32 bits). Nothing is copied that is given as
 * bytes: `parts` are views of it, to be written before it changes.
 */
export class Packer {
  readonly parts: Uint8Array[] = []
  readonly #encoder = new TextEncoder()

  bytes(view: ArrayBufferView): this {
    const length = new Uint8Array(4)
    new DataView(length.buffer).setUint32(0, view.byteLength, true)
    this.parts.push(length)
    if (view.byteLength > 0) this.parts.push(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
    return this
  }

  json(value: unknown): this {
    return this.bytes(this.#encoder.encode(JSON.stringify(value)))
  }

  numbers(values: readonly number[]): this {
    return this.bytes(Float64Array.from(values))
  }

  /** No text may be empty or hold a line feed. */
  texts(values: readonly (string | undefined)[]): this {
    this.numbers([values.length])
    for (let from = 0; from < values.length; from += TEXTS_PER_PART) {
      const part = values.slice(from, from + TEXTS_PER_PART)
      const lines = Array.from(part, (text) => text ?? '').join('\n')
      if (lines.split('\n').length !== part.length) throw new PackedInvalid('A text holds a line feed.')
      this.bytes(this.#encoder.encode(lines))
    }
    return this
  }
}

/** Gives back what was packed, in the same order. @throws PackedInvalid */
export class Unpacker {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #decoder = new TextDecoder('utf-8', { fatal: true })
  #at = 0

  constructor(bytes: Uint8Array) {
    // Whatever it is a subclass of: a Buffer's `slice` does not copy.
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** A view of the packed bytes. */
  bytes(): Uint8Array {
    if (this.#at + 4 > this.#bytes.length) throw new PackedInvalid('The bytes end before a part.')
    const length = this.#view.getUint32(this.#at, true)
    const from = this.#at + 4
    if (from + length > this.#bytes.length) throw new PackedInvalid('The bytes end within a part.')
    this.#at = from + length
    return this.#bytes.subarray(from, this.#at)
  }

  /** A copy with memory of its own, at most (or, with `exactly`, just) so long. */
  buffer(bytesMax: number, how: 'atMost' | 'exactly' = 'exactly'): ArrayBuffer {
    const bytes = this.bytes()
    if (bytes.length > bytesMax || (how === 'exactly' && bytes.length !== bytesMax)) {
      throw new PackedInvalid(`A part has ${bytes.length} bytes, not ${bytesMax}.`)
    }
    const buffer = new ArrayBuffer(bytes.length)
    new Uint8Array(buffer).set(bytes)
    return buffer
  }

  json(): unknown {
    return JSON.parse(this.#decoder.decode(this.bytes()))
  }

  numbers(): number[] {
    const bytes = this.bytes()
    if (bytes.length % 8 !== 0) throw new PackedInvalid('A part of numbers has a length that is none of theirs.')
    return Array.from(new Float64Array(bytes.slice().buffer))
  }

  texts(): (string | undefined)[] {
    const [count = 0] = this.numbers()
    const texts: (string | undefined)[] = []
    while (texts.length < count) {
      const lines = this.#decoder.decode(this.bytes()).split('\n')
      for (const line of lines) texts.push(line === '' ? undefined : line)
    }
    if (texts.length !== count) throw new PackedInvalid('There are not as many texts as were packed.')
    return texts
  }

  /** @throws PackedInvalid unless everything was unpacked */
  end(): void {
    if (this.#at !== this.#bytes.length) throw new PackedInvalid('There are more bytes than were unpacked.')
  }
}
