import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { gauge } from '#mesh/metrics.ts'
import type { Alarm, AlertsTestReply } from '#mesh/protocol/alerts.ts'
import { RpcError, serveRpc } from '#mesh/rpc.ts'
import type { Service } from '#mesh/service.ts'
import { Rpc } from '#mesh/subjects.ts'
import { channelsOf } from './channels.ts'
import type { AlertsConfig } from './config.ts'
import { startPost } from './post.ts'

const QUEUE = 'alerts'
const TEST_MS_MAX = 20_000
const LOOK_MS = 50

const waiting = gauge('exchange_alerts_waiting', 'Alarms that nobody was told of yet.', [])

export function startAlerts(service: Service, config: AlertsConfig): void {
  const { log, nats, shutdown, instanceId } = service
  const channels = channelsOf(config)
  if (channels.length === 0) log.info('alarms are only logged: set SMTP_URL and ALERT_MAIL_TO, or ALERT_WEBHOOK_URL')
  let failure: string | undefined
  const post = startPost({
    ...config,
    channels,
    log,
    shutdown,
    tried: (failed) => {
      failure = failed
      service.ready('delivery', failed === undefined, failed)
    },
  })
  service.onScrape(async () => waiting.set(await post.waiting()))
  service.onStop(() => post.stop())

  const test = async (): Promise<AlertsTestReply> => {
    if (channels.length === 0) {
      throw new RpcError('no_channel', 'There is nobody to tell: set SMTP_URL and ALERT_MAIL_TO, or ALERT_WEBHOOK_URL.')
    }
    const alarm = testAlarm(instanceId)
    await post.add(alarm)
    const deadlineMs = performance.now() + TEST_MS_MAX
    while (performance.now() < deadlineMs) {
      const deliveredTo = await post.deliveredTo(alarm.id)
      if (deliveredTo !== undefined) return { deliveredTo }
      await sleep(LOOK_MS)
    }
    throw new RpcError('delivery_failed', failure ?? `It was not delivered within ${TEST_MS_MAX / 1000} s.`)
  }
  serveRpc(nats, Rpc.alertsTest, QUEUE, test, (err) => log.error({ err }, 'a request failed'))
}

/** Of a kind of its own: it is told in any case. */
function testAlarm(instance: string): Alarm {
  const id = randomUUID()
  return {
    id,
    kind: `alerts:test:${id}`,
    level: 'alarm',
    service: 'alerts',
    instance,
    message: 'This is a test of the alerts',
    details: 'Nothing is wrong.',
    at: new Date().toISOString(),
    held: 0,
  }
}
