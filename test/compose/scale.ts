/**
 * Scales what runs under docker compose up and down while orders pass through Traefik, and proves afterwards that nothing was lost.
 *
 *     node launcher/run.mjs test/compose/scale.ts
 *
 * Of the environment: the ports, the admin's password and MYSQL_PASSWORD, as docker-compose.yml has them. `.ci/compose` calls it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { run } from '#launcher/servers/child-process.ts'
import { startLoad } from './load.ts'

const PER_SECOND = 30
const CALM_MS = 3_000
const ERROR_CHARS_MAX = 300
const STEPS = [
  { gateway: 2, accounts: 2, engine: 3, orders: 2 },
  { gateway: 1, accounts: 1, engine: 1, orders: 1 },
]

await using exchange = await startLoad(PER_SECOND)
const { load } = exchange
await sleep(CALM_MS)
for (const step of STEPS) {
  const scale = Object.entries(step).map(([service, count]) => `${service}=${count}`)
  const beganMs = performance.now()
  const scales = scale.flatMap((one) => ['--scale', one])
  // The next step must not stop the only gateway that is ready.
  const up = ['compose', 'up', '--wait', '--no-recreate', '--no-deps', ...scales, ...Object.keys(step)]
  await run('docker', up).catch(async (error: unknown) => {
    // A newcomer that a full machine kept silent for over a second starts anew, and compose takes it for broken meanwhile.
    console.log(`${scale.join(' ')}: asked for again, as the first time ${String(error).slice(0, ERROR_CHARS_MAX)}`)
    await sleep(CALM_MS)
    await run('docker', up)
  })
  await sleep(CALM_MS)
  const pause = Math.round(load.longestPauseMs(beganMs, performance.now()))
  console.log(`${scale.join(' ')}: longest time without an order accepted ${pause} ms`)
}
await exchange.finish()
