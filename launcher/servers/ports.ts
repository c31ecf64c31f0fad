import { createServer } from 'node:net'

// Below the kernel's ephemeral range (from 32768 on): no outgoing connection takes the port while its server restarts.
const portMin = 20_000
const portMax = 32_767

const given = new Set<number>()
let range = { from: portMin, count: portMax - portMin }

export const loopback = '127.0.0.1'

/** From here on this process takes its ports from one of `parts` equal parts of the range: another process has the others. */
export function takePortsOf(part: number, parts: number): void {
  const count = Math.floor((portMax - portMin) / parts)
  range = { from: portMin + (part % parts) * count, count }
}

/** A TCP port of the loopback interface that nobody listens on now and that was not given away before. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = range.from + Math.floor(Math.random() * range.count)
    if (given.has(port) || !(await isPortFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error('no free port on the loopback interface')
}

export function isPortFree(port: number, host: string = loopback): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)))
  })
}
