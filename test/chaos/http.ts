import { Connection, type Response } from '../../bench/http/connection.ts'

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

/**
 * A client of the public entry that never throws: what breaks on the way is an answer of status 0. It shares the machine with
 * all that it judges, so it has the connections of the load generator, for a tenth of what node:http costs.
 */
export function createHttp(url: string, options: { readonly patienceMs: number }): Http {
  const { hostname, port } = new URL(url)
  const idle: Connection[] = []
  const waiting = new Map<Connection, (answer: Answer) => void>()

  const settle = (connection: Connection, answer: Answer): void => {
    waiting.get(connection)?.(answer)
    waiting.delete(connection)
  }
  const onResponse = ({ status, text, bodyAt }: Response, connection: Connection): void => {
    idle.push(connection)
    settle(connection, answerOf(status, text.slice(bodyAt)))
  }
  const onFailure = (_error: Error, connection: Connection): void => {
    connection.close()
    settle(connection, NOTHING)
  }
  const take = async (): Promise<Connection> => {
    for (let connection = idle.pop(); connection !== undefined; connection = idle.pop()) {
      if (connection.isOpen) return connection
    }
    return await Connection.open({ host: hostname, port: Number(port) }, onResponse, onFailure)
  }

  return {
    call: async (method, path, token, body) => {
      const payload = body === undefined ? '' : JSON.stringify(body)
      const content =
        body === undefined ? '' : `content-type: application/json\r\ncontent-length: ${payload.length}\r\n`
      const head = `${method} /api/v3${path} HTTP/1.1\r\nhost: exchange.local\r\nauthorization: Bearer ${token}\r\n${content}\r\n`
      let connection: Connection
      try {
        connection = await take()
      } catch {
        return NOTHING
      }
      return await new Promise((resolve) => {
        const patience = setTimeout(() => onFailure(new Error('no answer'), connection), options.patienceMs)
        waiting.set(connection, (answer) => {
          clearTimeout(patience)
          resolve(answer)
        })
        connection.send(head + payload)
      })
    },
    close: () => {
      for (const connection of [...idle, ...waiting.keys()]) connection.close()
    },
  }
}

function answerOf(status: number, text: string): Answer {
  try {
    const body = JSON.parse(text)
    if (typeof body !== 'object' || body === null) throw new Error('All that the exchange answers are objects.')
    return { status, code: typeof body.code === 'string' ? body.code : '', body }
  } catch {
    // A proxy's own words, or half an answer.
    return { status: status >= 200 && status < 300 ? 0 : status, code: '', body: undefined }
  }
}
