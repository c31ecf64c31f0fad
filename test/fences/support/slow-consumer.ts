import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client of the bus that subscribes to everything and reads nothing. */
export class SlowConsumer implements Disposable {
  readonly #socket: Socket

  private constructor(socket: Socket) {
    this.#socket = socket
  }

  static async connect(natsUrl: string): Promise<SlowConsumer> {
    const { hostname, port } = new URL(natsUrl)
    const socket = connect(Number(port), hostname)
    await once(socket, 'connect')
    socket.write('CONNECT {"verbose":false,"name":"slow"}\r\nSUB > 1\r\nPING\r\n')
    socket.on('error', () => {})
    socket.pause()
    return new SlowConsumer(socket)
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
  }
}
