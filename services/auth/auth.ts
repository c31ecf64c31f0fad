import { setTimeout as sleep } from 'node:timers/promises'
import { createCommandPublisher } from '#mesh/commands.ts'
import { createIds } from '#mesh/ids.ts'
import { migrate } from '#mesh/migrate.ts'
import { createPool } from '#mesh/mysql.ts'
import { RpcError } from '#mesh/rpc.ts'
import type { Service } from '#mesh/service.ts'
import { ensureStreams } from '#mesh/streams.ts'
import { tracePool } from '#mesh/telemetry/clients.ts'
import { createTokenVerifier } from '#mesh/tokens.ts'
import { createAttempts } from './attempts.ts'
import type { AuthConfig } from './config.ts'
import { createDenials } from './denials.ts'
import { ensureAdmin } from './first-admin.ts'
import { serveAuth } from './handler.ts'
import { createHasher } from './hashing.ts'
import { createOutbox } from './outbox.ts'
import type { AuthParts } from './parts.ts'
import { createSigner } from './signer.ts'
import { startUpkeep } from './upkeep.ts'

/** Schema, keys and first admin before anything is answered. */
export async function startAuth(service: Service, config: AuthConfig): Promise<AuthParts> {
  const { nats, log } = service
  const { replicas, issuer, audience, accountSlots } = config
  await ensureStreams(nats, config)
  await migrate(config.mysqlUrl, log)
  const pool = tracePool(createPool(config.mysqlUrl, { connectionsMax: 10 }), service.telemetry)
  const ids = createIds(nats)
  await untilIdsCome()

  const verifier = createTokenVerifier({ nats, log, issuer, audience, replicas })
  service.onStop(() => verifier.close())
  await verifier.loaded()
  const signer = createSigner({ config, nats, pool, ids, log, published: verifier.keys })
  await signer.refresh()

  const parts: AuthParts = {
    config,
    log,
    nats,
    pool,
    ids,
    hasher: createHasher(config.passwordCost, config.hashesAtOnce),
    attempts: createAttempts(pool),
    denials: createDenials({ nats, pool, replicas }),
    outbox: createOutbox({ pool, ids, publisher: createCommandPublisher(nats), accountSlots, log }),
    signer,
    verifier,
  }
  await ensureAdmin(parts, (line) => process.stdout.write(`${line}\n`))
  await parts.denials.repair(verifier.denied.entries)
  startUpkeep(service, parts)
  serveAuth(parts)
  const watching = setInterval(() => service.ready('tokens', verifier.isReady()), 500)
  service.onStop(() => clearInterval(watching))
  return parts

  /** guid may start later than auth. */
  async function untilIdsCome(): Promise<void> {
    while (!service.shutdown.aborted) {
      try {
        return void (await ids.next())
      } catch (error) {
        if (!(error instanceof RpcError)) throw error
        log.warn({ code: error.code }, 'waits for ids')
        await sleep(500)
      }
    }
  }
}
