import assert from 'node:assert/strict'

export interface Response {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: what comes over the wire is asserted field by field
  readonly body: any
  readonly headers: Headers
}

/** A plain HTTP client. Its requests go to the gateways in turn, so that whatever it reads it may read elsewhere than it wrote. */
export class Client {
  readonly #urls: readonly string[]
  readonly #headers: Readonly<Record<string, string>>
  #turn = 0

  constructor(urls: readonly string[], headers: Readonly<Record<string, string>> = {}) {
    this.#urls = urls
    this.#headers = headers
  }

  as(token: string, headers: Readonly<Record<string, string>> = {}): Client {
    return new Client(this.#urls, { ...this.#headers, authorization: `Bearer ${token}`, ...headers })
  }

  /** `body`: an object is sent as JSON, a text as it is (still as application/json unless the headers say otherwise). */
  async call(
    method: string,
    path: string,
    body?: object | string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const url = this.#urls[this.#turn++ % this.#urls.length]
    const response = await fetch(
      `${url}${path.startsWith('/health') || path.startsWith('/docs') ? '' : '/api/v3'}${path}`,
      {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...this.#headers,
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      },
    )
    const text = await response.text()
    const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
    return { status: response.status, body: isJson ? JSON.parse(text) : text, headers: response.headers }
  }

  /** The body of an answer with one of these statuses. */
  async ok(
    method: string,
    path: string,
    body?: object,
    statuses: readonly number[] = [200, 201],
  ): Promise<Response['body']> {
    const response = await this.call(method, path, body)
    assert(statuses.includes(response.status), `${method} ${path}: ${response.status} ${JSON.stringify(response.body)}`)
    return response.body
  }

  /** Asserts a refusal: its status and code, and its field where one is given. */
  async refused(
    expected: readonly [status: number, code: string, field?: string],
    method: string,
    path: string,
    body?: object | string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<Response> {
    const response = await this.call(method, path, body, headers)
    const { code, field, message } = response.body
    assert.deepEqual([response.status, code, field], [expected[0], expected[1], expected[2]])
    assert.equal(typeof message, 'string')
    return response
  }
}
