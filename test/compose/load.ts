import type { NatsConnection } from '@nats-io/transport-node'
import { connectNats } from '#mesh/service.ts'
import { Client } from '../support/client.ts'
import { SteadyLoad } from '../support/steady-load.ts'

/** Orders that pass through the exchange that runs under docker compose. */
export interface ComposeLoad extends AsyncDisposable {
  readonly nats: NatsConnection
  readonly load: SteadyLoad
  /** Ends them, tells what failed, and proves that nothing was lost. @throws AssertionError */
  finish(): Promise<void>
}

/** By the ports and passwords of the environment, as docker-compose.yml has them. */
export async function startLoad(perSecond: number): Promise<ComposeLoad> {
  const { env } = process
  const host = '127.0.0.1'
  const natsUrl = `nats://${host}:${env.NATS_PORT ?? 4222}`
  const mysqlUrl = `mysql://exchange:${env.MYSQL_PASSWORD ?? 'laptop-only'}@${host}:${env.MYSQL_PORT ?? 3306}/exchange`
  const admin = {
    email: env.EXCHANGE_ADMIN_EMAIL ?? 'admin@example.com',
    password: env.EXCHANGE_ADMIN_PASSWORD ?? '',
  }
  const nats = await connectNats(natsUrl, 'compose-check')
  const load = await SteadyLoad.start(nats, new Client([`http://${host}:${env.PUBLIC_PORT ?? 8182}`]), admin, perSecond)
  return {
    nats,
    load,
    finish: async () => {
      await load.stop()
      await load.cancelAll()
      const failures = load.failures()
      console.log(
        `${load.answered.length} requests, ${load.failed().length} not done${failures.map((one) => `\n  ${one}`).join('')}`,
      )
      const { accepted } = await load.check({ natsUrl, mysqlUrl })
      console.log(`each of ${accepted} orders accepted is in MySQL once, and the audit finds all in order`)
    },
    [Symbol.asyncDispose]: () => nats.close(),
  }
}
