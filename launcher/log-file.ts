import { createWriteStream, existsSync, mkdirSync, renameSync, statSync, type WriteStream } from 'node:fs'
import { dirname } from 'node:path'

const fileBytesMax = 64 * 1024 * 1024

/** A log that keeps at most two files: the current one, and the one before (`.1`). */
export class LogFile {
  readonly #path: string
  #stream: WriteStream
  #bytes: number

  constructor(path: string) {
    this.#path = path
    mkdirSync(dirname(path), { recursive: true })
    this.#bytes = existsSync(path) ? statSync(path).size : 0
    this.#stream = createWriteStream(path, { flags: 'a' })
  }

  write(line: string): void {
    if (this.#bytes > fileBytesMax) this.#rotate()
    this.#bytes += line.length + 1
    this.#stream.write(`${line}\n`)
  }

  #rotate(): void {
    this.#stream.end()
    renameSync(this.#path, `${this.#path}.1`)
    this.#stream = createWriteStream(this.#path, { flags: 'a' })
    this.#bytes = 0
  }
}
