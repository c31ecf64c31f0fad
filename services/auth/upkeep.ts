import { setTimeout as sleep } from 'node:timers/promises'
import type { Service } from '#mesh/service.ts'
import type { AuthParts } from './parts.ts'

const KEYS_MS = 5_000
const LEFTOVERS_MS = 2_000
const REPAIR_MS = 30_000
const SWEEP_MS = 60_000

/** What every instance does beside answering. All of it may be done by several at once. */
export function startUpkeep(service: Service, parts: AuthParts): void {
  const { pool, signer, verifier, outbox, denials, attempts, log } = parts
  const running = [
    every(KEYS_MS, 'keys', async () => {
      if (verifier.keys.isCurrent()) await signer.refresh()
    }),
    every(LEFTOVERS_MS, 'leftovers', async () => {
      await outbox.appendLeftovers(LEFTOVERS_MS)
      await denials.publishPending(LEFTOVERS_MS)
    }),
    every(REPAIR_MS, 'denials', async () => {
      if (!verifier.denied.isCurrent()) return
      const repaired = await denials.repair(verifier.denied.entries)
      if (repaired > 0) log.warn({ repaired }, 'the bucket of denials was not what MySQL says')
    }),
    every(SWEEP_MS, 'sweep', async () => {
      const nowMs = Date.now()
      for (const table of ['refresh_tokens', 'sessions', 'program_tokens']) {
        await pool.query('DELETE FROM ?? WHERE expires_at_ms < ? LIMIT 10000', [table, nowMs])
      }
      await attempts.sweep()
      while ((await denials.sweep()) >= 1000 && !service.shutdown.aborted) await sleep(10)
    }),
  ]
  service.onStop(async () => {
    await Promise.all(running)
    await pool.end()
  })

  async function every(ms: number, name: string, work: () => Promise<void>): Promise<void> {
    while (!service.shutdown.aborted) {
      await sleep(ms, undefined, { signal: service.shutdown }).catch(() => {})
      if (service.shutdown.aborted) return
      try {
        await work()
        service.ready(name, true)
      } catch (err) {
        log.warn({ err, name }, 'upkeep failed; it is tried again')
        // Tokens are verified and sessions refreshed without the rest; keys tell whether MySQL is there.
        if (name === 'keys') service.ready(name, false)
      }
    }
  }
}
