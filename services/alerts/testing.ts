import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { loopback } from '#launcher/servers/ports.ts'

export interface Received {
  readonly kind: string
  readonly level: string
  readonly message: string
  readonly details: string
  readonly held: number
  readonly text: string
}

/** Takes what a webhook gets. `refuse`: answers with 500 while it says so. */
export async function startWebhook(refuse: () => boolean = () => false) {
  const received: Received[] = []
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    if (refuse()) response.writeHead(500)
    else received.push(JSON.parse(Buffer.concat(chunks).toString()) as Received)
    response.end()
  })
  await new Promise<void>((resolve) => server.listen(0, loopback, resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://${loopback}:${port}/hook`,
    received,
    stop: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
