import type { StartedIngest } from '#mesh/ingest/start.ts'
import type { Service } from '#mesh/service.ts'
import { sleep, systemTime } from '#mesh/time.ts'
import type { RabbitmqConfig } from './config.ts'
import { openSession, type Session } from './session.ts'

/** Between two tries to connect, in milliseconds: doubled up to the maximum. */
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 2_000
const DRAIN_MS_MAX = 3_000
/** How often it is looked whether all results can be told, in milliseconds. */
const LOOK_MS = 500

/** One session after the other, for as long as the service runs; while there is none it takes nothing and tells nothing. */
export function keepSessions(service: Service, { url, prefetch }: RabbitmqConfig, started: StartedIngest): void {
  const { log, shutdown, instanceId } = service
  const { ingest, startResults } = started
  service.ready('rabbitmq', false)

  const runOne = async (): Promise<void> => {
    await using ending = new AsyncDisposableStack()
    const session = await openSession({ url, prefetch, name: instanceId, ingest })
    ending.defer(() => session.close().catch(() => {}))
    const results = await startResults(session.publish)
    ending.defer(() => results.stop())
    await session.consume()
    service.ready('rabbitmq', true)
    ending.defer(() => service.ready('rabbitmq', false))
    log.info('takes orders from RabbitMQ')
    const looking = setInterval(() => {
      const faults = results.faults()
      service.ready('results', Object.keys(faults).length === 0, faults)
    }, LOOK_MS)
    ending.defer(() => clearInterval(looking))
    const why = await Promise.race([session.ended, stopped(shutdown, session)])
    if (!shutdown.aborted) throw why ?? new Error('The broker closed the connection.')
  }
  const loop = async (): Promise<void> => {
    let retryMs = RETRY_MS_MIN
    while (!shutdown.aborted) {
      const beganAtMs = performance.now()
      try {
        await runOne()
      } catch (err) {
        log.warn({ err }, 'RabbitMQ is out of reach; what was not acknowledged is delivered again')
      }
      retryMs = performance.now() - beganAtMs > RETRY_MS_MAX ? RETRY_MS_MIN : Math.min(retryMs * 2, RETRY_MS_MAX)
      await sleep(systemTime, retryMs, shutdown)
    }
  }
  const looping = loop()
  service.onStop(() => looping)
}

/** Resolves when the service is to stop and nothing is under way any more. */
function stopped(shutdown: AbortSignal, session: Session): Promise<void> {
  return new Promise((resolve) => {
    const drain = (): void => void session.drain(DRAIN_MS_MAX).then(resolve, () => resolve())
    if (shutdown.aborted) drain()
    else shutdown.addEventListener('abort', drain, { once: true })
  })
}
