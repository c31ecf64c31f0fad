import { RpcError } from '#mesh/rpc.ts'

const ANSWER_MS_MAX = 10_000

/** The REST API, as an admin who has logged in. Refusals become `RpcError` with the gateway's code. */
export class Api {
  readonly #url: string
  readonly #token: string

  private constructor(url: string, token: string) {
    this.#url = url
    this.#token = token
  }

  static async login(url: string, admin: { readonly email: string; readonly password: string }): Promise<Api> {
    const { accessToken } = (await call(`${url}/api/v3`, '', 'POST', '/sessions', admin)) as { accessToken: string }
    return new Api(`${url}/api/v3`, accessToken)
  }

  call(method: string, path: string, body?: object): Promise<unknown> {
    return call(this.#url, this.#token, method, path, body)
  }

  /** A session that is left open would live on for weeks. */
  async logout(): Promise<void> {
    await this.call('DELETE', '/sessions').catch(() => {})
  }
}

async function call(url: string, token: string, method: string, path: string, body?: object): Promise<unknown> {
  let response: Response
  try {
    response = await fetch(url + path, {
      method,
      headers: {
        ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_MS_MAX),
    })
  } catch (error) {
    throw new RpcError('gateway_unreachable', `No gateway answers at ${url}; set EXCHANGE_URL. ${String(error)}`)
  }
  const text = await response.text()
  const answer = text === '' ? {} : parsed(text)
  if (response.ok) return answer
  const { code = `status_${response.status}`, message = response.statusText } = answer as Record<string, string>
  throw new RpcError(code, message)
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return {}
  }
}
