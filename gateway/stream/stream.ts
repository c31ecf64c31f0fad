import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { WebSocketServer } from 'ws'
import type { Code } from '../codes.ts'
import { addressOf } from '../http/address.ts'
import { problemAnswer } from '../problem.ts'
import { Connection, type ConnectionParts, MESSAGE_BYTES_MAX } from './connection.ts'

export interface Stream {
  /** Takes the upgrades of this listener at this path. */
  attach(listener: Server, path: string): void
  /** Tells all clients, then ends their connections one after the other over so many milliseconds. */
  stop(overMs: number): Promise<void>
  readonly connectionsCount: number
}

/** How often it is looked whether tokens are still good: a revocation takes effect within a second. */
const LOGIN_LOOK_MS = 300
/** How often it is looked whose heartbeat is due. */
const BEAT_LOOK_MS = 250
const CLOSE_TURNS = 20

/** All WebSockets of a gateway. */
export function createStream(parts: ConnectionParts): Stream {
  const { limits, gate } = parts
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MESSAGE_BYTES_MAX,
    perMessageDeflate: false,
    clientTracking: false,
  })
  const connections = new Set<Connection>()
  const byAddress = new Map<string, number>()
  let count = 0
  let isStopping = false

  const refusal = (address: string): Code | undefined => {
    if (isStopping || gate.isStopping()) return 'server_shutdown'
    if (connections.size >= limits.connectionsMax) return 'too_many_connections'
    if ((byAddress.get(address) ?? 0) >= limits.connectionsPerAddressMax) return 'too_many_connections'
    return undefined
  }
  const countAddress = (address: string, change: 1 | -1): void => {
    const connected = (byAddress.get(address) ?? 0) + change
    if (connected === 0) byAddress.delete(address)
    else byAddress.set(address, connected)
  }
  const upgrade = (request: IncomingMessage, socket: Duplex, head: Buffer, path: string): void => {
    const isHere = request.url?.split('?', 1)[0] === path
    const refused = isHere ? refusal(addressOf(request)) : 'route_unknown'
    if (refused !== undefined) {
      refuse(socket, refused)
      return
    }
    sockets.handleUpgrade(request, socket, head, (opened) => {
      count += 1
      const id = gate.requestId(undefined)
      const connection = new Connection(id, opened, request, parts, () => {
        connections.delete(connection)
        countAddress(connection.address, -1)
      })
      connections.add(connection)
      countAddress(connection.address, 1)
    })
  }

  const loginLook = setInterval(() => {
    for (const connection of connections) connection.checkLogin()
  }, LOGIN_LOOK_MS)
  const beats = setInterval(() => {
    for (const connection of connections) connection.beat()
  }, BEAT_LOOK_MS)

  return {
    attach: (listener, path) => {
      listener.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        socket.on('error', () => socket.destroy())
        upgrade(request, socket, head, path)
      })
    },
    stop: async (overMs) => {
      isStopping = true
      parts.log.info({ connections: connections.size, all: count }, 'ending connections')
      for (const connection of connections) connection.announceShutdown(Math.ceil(overMs / 1_000))
      const all = [...connections]
      const perTurn = Math.ceil(all.length / CLOSE_TURNS)
      for (let turn = 0; turn < CLOSE_TURNS && all.length > 0; turn++) {
        await sleep(overMs / CLOSE_TURNS)
        for (const connection of all.splice(0, perTurn)) connection.end('server_shutdown')
      }
      clearInterval(loginLook)
      clearInterval(beats)
    },
    get connectionsCount() {
      return connections.size
    },
  }
}

/** Before it is a WebSocket an upgrade is refused like any request. */
function refuse(socket: Duplex, code: Code): void {
  const { status, json } = problemAnswer(code)
  const headers = ['content-type: application/json; charset=utf-8', `content-length: ${Buffer.byteLength(json)}`]
  if (status === 503) headers.push('retry-after: 1')
  socket.end(`HTTP/1.1 ${status} Refused\r\n${headers.join('\r\n')}\r\nconnection: close\r\n\r\n${json}`)
}
