import { connect } from 'node:net'
import { loopback } from './ports.ts'

const answerBytesMax = 64 * 1024

/** Whether an HTTP server answers this address with a 2xx. */
export async function answersHttp(url: string, timeoutMs = 1000): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'manual' })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}

export type TcpQuestion = { host?: string; port: number; send?: string; timeoutMs?: number }

/** The first bytes that a TCP server says, by itself or to what is sent; undefined when it does not answer. */
export function firstBytes(question: TcpQuestion): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: question.host ?? loopback, port: question.port })
    const finish = (answer: Buffer | undefined) => {
      socket.destroy()
      resolve(answer)
    }
    socket.setTimeout(question.timeoutMs ?? 1000, () => finish(undefined))
    socket.once('error', () => finish(undefined))
    socket.once('close', () => finish(undefined))
    socket.once('data', (data) => finish(data.subarray(0, answerBytesMax)))
    if (question.send !== undefined) socket.write(question.send)
  })
}
