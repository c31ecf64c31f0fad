import { setTimeout as sleep } from 'node:timers/promises'
import type { Server } from '@hapi/hapi'
import type { Logger } from 'pino'
import type { Admission } from './http/admission.ts'

/** So long it still serves after it has become unready: the balancer looks every 500 ms. */
export const SERVES_MS = 3_000
/** And so long what is in hand may take. */
const DRAINS_MS_MAX = 5_000
const LOOK_MS = 20

/** Unready since SIGTERM: serves on for a while, then takes no more and ends what it has. */
export async function stopServer(server: Server, admission: Admission, log: Logger): Promise<void> {
  await sleep(SERVES_MS)
  const { listener } = server
  const closed = server.stop({ timeout: DRAINS_MS_MAX })
  listener.closeIdleConnections()
  const deadlineMs = performance.now() + DRAINS_MS_MAX
  while (admission.inFlight > 0 && performance.now() < deadlineMs) await sleep(LOOK_MS)
  if (admission.inFlight > 0) log.warn({ inFlight: admission.inFlight }, 'stopping with requests in hand')
  listener.closeAllConnections()
  await closed
}
