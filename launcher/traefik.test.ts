import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTraefik } from '#mesh/testing/servers.ts'

type Gateway = { server: Server; url: string; requests: string[]; ready: boolean; drop: boolean }

describe('Traefik on the committed configuration', function () {
  this.timeout(300_000)
  let gateways: Gateway[]
  let traefik: Awaited<ReturnType<typeof startTraefik>>

  before(async () => {
    gateways = await Promise.all(['a', 'b', 'c'].map(startGateway))
    traefik = await startTraefik(gateways.map(({ url }) => url))
  })
  after(async () => {
    await traefik?.stop()
    for (const { server } of gateways ?? []) server.close().closeAllConnections()
  })
  beforeEach(() => {
    for (const gateway of gateways) Object.assign(gateway, { requests: [], ready: true, drop: false })
  })

  it('spreads requests over all gateways', async () => {
    const answers = await Promise.all(Array.from({ length: 30 }, () => answerOf('/api/v3/time')))
    assert.deepEqual([...new Set(answers)].sort(), ['a', 'b', 'c'])
  })

  it('drops a gateway that is not ready within a second and a half, and takes it back', async () => {
    const [first] = gateways
    assert(first)
    first.ready = false
    await sleep(1500)
    assert.deepEqual(await distinctAnswers(), ['b', 'c'])
    first.ready = true
    await sleep(1500)
    assert.deepEqual(await distinctAnswers(), ['a', 'b', 'c'])
  })

  it('sends a read again when its gateway breaks the connection, and a write never', async () => {
    const [first] = gateways
    assert(first)
    first.drop = true
    for (let n = 0; n < 6; n++) assert.notEqual(await answerOf(`/read/${n}`), 'a')
    const statuses = []
    for (let n = 0; n < 6; n++) statuses.push((await fetch(`${traefik.url}/write/${n}`, { method: 'POST' })).status)
    assert(statuses.includes(502))
    const writes = gateways.flatMap(({ requests }) => requests.filter((line) => line.startsWith('POST')))
    assert.equal(writes.length, 6)
    assert.equal(new Set(writes).size, 6)
  })

  it('refuses a body above 1 MiB and passes one of 1 MiB', async () => {
    const post = (bytes: number) => fetch(`${traefik.url}/x`, { method: 'POST', body: 'x'.repeat(bytes) })
    assert.equal((await post(1024 * 1024)).status, 200)
    assert.equal((await post(1024 * 1024 + 1)).status, 413)
  })

  it('passes a WebSocket', async () => {
    const { hostname, port } = new URL(traefik.url)
    const headers = { connection: 'Upgrade', upgrade: 'websocket' }
    const upgraded = request({ hostname, port, path: '/ws', headers })
    const echoed = new Promise((resolve, reject) => {
      upgraded.on('upgrade', (_, socket) => {
        socket.once('data', (data: Buffer) => {
          resolve(data.toString())
          socket.destroy()
        })
        socket.write('hello')
      })
      upgraded.on('response', ({ statusCode }) => reject(new Error(`answers ${statusCode}`)))
    })
    upgraded.end()
    assert.equal(await echoed, 'hello')
  })

  it('shows its dashboard', async () => {
    assert.equal((await fetch(`${traefik.dashboardUrl}/dashboard/`)).status, 200)
  })

  const answerOf = async (path: string) => await (await fetch(traefik.url + path)).text()

  async function distinctAnswers(): Promise<string[]> {
    const answers = await Promise.all(Array.from({ length: 30 }, () => answerOf('/')))
    return [...new Set(answers)].sort()
  }
})

async function startGateway(name: string): Promise<Gateway> {
  const server = createServer((incoming, response) => answer(incoming, response))
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
    socket.pipe(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const gateway: Gateway = { server, url: `http://127.0.0.1:${port}`, requests: [], ready: true, drop: false }
  return gateway

  function answer(incoming: IncomingMessage, response: ServerResponse): void {
    if (incoming.url === '/health/ready') {
      response.writeHead(gateway.ready ? 200 : 503).end()
      return
    }
    gateway.requests.push(`${incoming.method} ${incoming.url}`)
    if (gateway.drop) incoming.socket.destroy()
    else incoming.resume().on('end', () => response.end(name))
  }
}
