import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { jetstreamManager } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import { runningMesh } from '#launcher/run-state.ts'
import { findServers } from '#launcher/running-servers.ts'
import { dataDirectory } from '#launcher/servers/directories.ts'
import { ConfigError } from '#mesh/config.ts'
import { type Definitions, followDefinitions } from '#mesh/edge/definitions.ts'
import { OPERATOR } from '#mesh/permissions.ts'
import { connectNats } from '#mesh/service.ts'
import { Log, STREAM_OF_LOG } from '#mesh/subjects.ts'
import { Api } from './api.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface Shape {
  readonly accountSlots: number
  readonly marketSlots: number
}

const ANSWER_MS_MAX = 5_000

/**
 * The ways to the exchange, each opened when it is first needed. The bus is `NATS_URL`, the API `EXCHANGE_URL`, the admin
 * `EXCHANGE_ADMIN_EMAIL` and `EXCHANGE_ADMIN_PASSWORD`; what is not set is that of the `npm start` that runs.
 */
export class Connections implements AsyncDisposable {
  readonly env: Env
  #bus: Promise<NatsConnection> | undefined
  #api: Promise<Api> | undefined
  #definitions: Promise<Definitions> | undefined

  constructor(env: Env) {
    this.env = env
  }

  bus(): Promise<NatsConnection> {
    this.#bus ??= soon(
      connectNats(this.env.NATS_URL || findServers().natsUrl, 'exchange-cli', OPERATOR, this.env),
      'NATS does not answer.',
    )
    return this.#bus
  }

  /** As the admin. */
  api(): Promise<Api> {
    this.#api ??= Api.login(this.#url(), this.#admin())
    return this.#api
  }

  async definitions(): Promise<Definitions> {
    this.#definitions ??= this.#followDefinitions()
    return this.#definitions
  }

  /** As the streams remember it. */
  async shape(): Promise<Shape> {
    const manager = await jetstreamManager(await this.bus(), { checkAPI: false, timeout: ANSWER_MS_MAX })
    const slotsOf = async (log: Log): Promise<number> => {
      const { config } = await manager.streams.info(STREAM_OF_LOG[log])
      return Number(config.metadata?.slots)
    }
    const [accountSlots, marketSlots] = await Promise.all([slotsOf(Log.accounts), slotsOf(Log.markets)])
    return { accountSlots, marketSlots }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#definitions?.catch(() => undefined))?.stop()
    const api = await this.#api?.catch(() => undefined)
    await api?.logout()
    const bus = await this.#bus?.catch(() => undefined)
    await bus?.close()
  }

  async #followDefinitions(): Promise<Definitions> {
    const bus = await this.bus()
    const { promise: ready, resolve, reject } = Promise.withResolvers<void>()
    const definitions = await followDefinitions(bus, resolve, reject)
    await soon(ready, 'The exchange has no markets yet, or its definitions cannot be read.')
    return definitions
  }

  #url(): string {
    const { EXCHANGE_URL: url, GATEWAY_PORT: gatewayPort, PUBLIC_PORT: publicPort } = this.env
    if (url) return url.replace(/\/+$/, '')
    // In a gateway's own container.
    if (gatewayPort) return `http://127.0.0.1:${gatewayPort}`
    return runningMesh(dataDirectory())?.publicUrl ?? `http://127.0.0.1:${publicPort || 8182}`
  }

  #admin(): { readonly email: string; readonly password: string } {
    const path = join(dataDirectory(), 'admin-password')
    const kept = existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
    const { EXCHANGE_ADMIN_EMAIL: email, EXCHANGE_ADMIN_PASSWORD: given } = this.env
    const password = given || kept
    if (password === undefined) {
      throw new ConfigError(`Who are you? Set EXCHANGE_ADMIN_EMAIL and EXCHANGE_ADMIN_PASSWORD (there is no ${path}).`)
    }
    return { email: email || 'admin@example.com', password }
  }
}

/** A connection is waited for for ever otherwise. */
async function soon<Result>(promise: Promise<Result>, otherwise: string): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new ConfigError(otherwise)), ANSWER_MS_MAX)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
