import { Agent, request } from 'node:http'

/** What came back; `status` 0: nothing did, in time or at all. */
export interface Answer {
  readonly status: number
  /** Of a refusal; empty where the answer is none of the exchange's. */
  readonly code: string
  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is read field by field
  readonly body: any
}

export interface Http {
  call(method: string, path: string, token: string, body?: object): Promise<Answer>
  close(): void
}

const NOTHING: Answer = { status: 0, code: '', body: undefined }

/** A client of the public entry that never throws: what breaks on the way is an answer of status 0. */
export function createHttp(url: string, options: { readonly patienceMs: number }): Http {
  const { hostname, port } = new URL(url)
  const agent = new Agent({ keepAlive: true, maxSockets: 4_096, maxFreeSockets: 512 })
  return {
    call: (method, path, token, body) =>
      new Promise((resolve) => {
        const payload = body === undefined ? undefined : JSON.stringify(body)
        const headers: Record<string, string> = { host: 'exchange.local', authorization: `Bearer ${token}` }
        if (payload !== undefined) {
          headers['content-type'] = 'application/json'
          headers['content-length'] = String(Buffer.byteLength(payload))
        }
        const outgoing = request({ hostname, port, agent, method, path: `/api/v3${path}`, headers }, (incoming) => {
          let text = ''
          incoming.setEncoding('utf8')
          incoming.on('data', (chunk: string) => {
            text += chunk
          })
          incoming.on('end', () => finish(answerOf(incoming.statusCode ?? 0, text)))
          incoming.on('error', () => finish(NOTHING))
        })
        const patience = setTimeout(() => {
          finish(NOTHING)
          outgoing.destroy()
        }, options.patienceMs)
        const finish = (answer: Answer): void => {
          clearTimeout(patience)
          resolve(answer)
        }
        outgoing.on('error', () => finish(NOTHING))
        outgoing.end(payload)
      }),
    close: () => agent.destroy(),
  }
}

function answerOf(status: number, text: string): Answer {
  try {
    const body = JSON.parse(text)
    return { status, code: typeof body.code === 'string' ? body.code : '', body }
  } catch {
    // A proxy's own words, or half an answer.
    return { status: status >= 200 && status < 300 ? 0 : status, code: '', body: undefined }
  }
}
