import { connect, type Socket } from 'node:net'

/** What came back; `body` is asked for only where it is of interest. */
export interface Response {
  readonly status: number
  readonly text: string
  readonly bodyAt: number
}

const HEAD_END = '\r\n\r\n'
const NO_CONTENT = 204
const LENGTH = /\r\ncontent-length: ([0-9]+)/i

/**
 * One keep-alive connection with one request under way at a time. It knows just enough of HTTP for answers with a
 * content-length, and costs a few microseconds per request, so that the generator leaves the machine to what it measures.
 */
export class Connection {
  readonly #socket: Socket
  readonly #onResponse: (response: Response, connection: Connection) => void
  readonly #onFailure: (error: Error, connection: Connection) => void
  #partial = ''
  isIdle = true
  /** The number of the order under way, and when it was sent (or should have been), for whoever uses this connection. */
  order = 0
  sentAtMs = 0

  private constructor(
    socket: Socket,
    onResponse: (response: Response, connection: Connection) => void,
    onFailure: (error: Error, connection: Connection) => void,
  ) {
    this.#socket = socket
    this.#onResponse = onResponse
    this.#onFailure = onFailure
    socket.on('data', (chunk: Buffer) => this.#receive(chunk.toString('latin1')))
  }

  static open(
    address: { readonly host: string; readonly port: number },
    onResponse: (response: Response, connection: Connection) => void,
    onFailure: (error: Error, connection: Connection) => void,
  ): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ ...address, noDelay: true })
      const refused = (error: Error): void => reject(error)
      socket.once('error', refused)
      socket.once('connect', () => {
        socket.off('error', refused)
        const connection = new Connection(socket, onResponse, onFailure)
        socket.on('error', (error) => onFailure(error, connection))
        socket.on('close', () => {
          if (!connection.isIdle)
            onFailure(new Error('The server closed a connection with a request under way.'), connection)
        })
        resolve(connection)
      })
    })
  }

  /** Whether another request can be sent. */
  get isOpen(): boolean {
    return !this.#socket.destroyed && this.#socket.writable
  }

  send(request: string): void {
    this.isIdle = false
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(chunk: string): void {
    if (this.isIdle) {
      this.#onFailure(new Error(`Nobody asked for this answer: ${chunk.slice(0, 200)}`), this)
      return
    }
    const text = this.#partial === '' ? chunk : this.#partial + chunk
    const headEnd = text.indexOf(HEAD_END)
    const length = headEnd < 0 ? undefined : LENGTH.exec(text)
    const bodyAt = headEnd + HEAD_END.length
    const status = Number(text.slice(9, 12))
    if (headEnd >= 0 && length === null && status !== NO_CONTENT) {
      this.#onFailure(new Error(`An answer of unknown length: ${text.slice(0, 200)}`), this)
      return
    }
    if (headEnd < 0 || text.length < bodyAt + Number(length?.[1] ?? 0)) {
      this.#partial = text
      return
    }
    this.#partial = ''
    this.isIdle = true
    this.#onResponse({ status, text, bodyAt }, this)
  }
}
