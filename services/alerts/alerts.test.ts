import assert from 'node:assert/strict'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { NatsConnection } from '@nats-io/transport-node'
import pino from 'pino'
import { SMTPServer } from 'smtp-server'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import { type Alarms, createAlarms } from '#mesh/alarms.ts'
import type { AlertsTestReply } from '#mesh/protocol/alerts.ts'
import { callRpc } from '#mesh/rpc.ts'
import { connectNats } from '#mesh/service.ts'
import { Rpc } from '#mesh/subjects.ts'
import { startNats, startRedis } from '#mesh/testing/servers.ts'
import { eventually } from '../../test/support/eventually.ts'
import { startWebhook } from './testing.ts'

const EVERY_SECONDS = 2

describe('alerts: from a log line to e-mail and webhook', function () {
  this.timeout(30_000)
  let bus: Awaited<ReturnType<typeof startNats>>
  let redis: Awaited<ReturnType<typeof startRedis>>
  let webhook: Awaited<ReturnType<typeof startWebhook>>
  let smtp: SMTPServer
  let alerts: OwnedProcess
  let healthUrl: string
  let nats: NatsConnection
  const mails: string[] = []
  const sources: Alarms[] = []
  let isWebhookDown = false

  before(async function () {
    this.timeout(120_000)
    bus = await startNats()
    redis = await startRedis()
    webhook = await startWebhook(() => isWebhookDown)
    smtp = new SMTPServer({
      authOptional: true,
      disabledCommands: ['STARTTLS'],
      onData: (stream, _session, done) => {
        let mail = ''
        stream.on('data', (chunk: Buffer) => {
          mail += chunk.toString()
        })
        stream.on('end', () => {
          mails.push(mail)
          done()
        })
      },
    })
    await new Promise<void>((resolve) => smtp.listen(0, loopback, resolve))
    const { port: smtpPort } = smtp.server.address() as AddressInfo
    const port = await freePort()
    healthUrl = `http://${loopback}:${port}/health/ready`
    alerts = await startProcess({
      name: 'alerts',
      command: process.execPath,
      args: [join(import.meta.dirname, 'main.ts')],
      env: {
        ...process.env,
        NATS_URL: bus.url,
        REDIS_URL: redis.url,
        SMTP_URL: `smtp://${loopback}:${smtpPort}`,
        ALERT_MAIL_TO: 'ops@example.com',
        ALERT_WEBHOOK_URL: webhook.url,
        ALERT_EVERY_SECONDS: String(EVERY_SECONDS),
        HEALTH_PORT: String(port),
      },
      output: { onLine: () => {} },
      isReady: async () => (await fetch(healthUrl).catch(() => undefined))?.ok === true,
      readyTimeoutMs: 30_000,
      stopTimeoutMs: 10_000,
    })
    nats = await connectNats(bus.url, 'test')
  })
  after(async () => {
    for (const source of sources) source.close()
    await nats?.close()
    await alerts?.stop()
    await new Promise<void>((resolve) => smtp.close(() => resolve()))
    webhook.stop()
    await redis.stop()
    await bus.stop()
  })

  /** The log of one more process. */
  const logOf = (service: string, instance = `${service}-1`) => {
    const alarms = createAlarms({ service, instance }, redis.url)
    sources.push(alarms)
    return pino({ base: { service, instance }, ...alarms.logger }, { write: () => {} })
  }
  const toldOf = (kind: string) => webhook.received.filter((one) => one.kind === kind)

  it('tells what is logged as fatal, or as an alarm, with its error and slot, and nothing else', async () => {
    const log = logOf('engine')
    log.error({ code: 'quiet' }, 'only an error')
    const error = Object.assign(new Error('no price at mysql://exchange:secret@db:3306'), { code: 'rules_failed' })
    log.child({ slot: 'markets-2' }).fatal({ err: error }, 'slot halted')
    log.error({ alarm: true, code: 'gap', details: { last: 3 } }, 'input passed over')
    const [fatal] = await eventually(() => some(toldOf('engine:rules_failed')))
    assert.equal(fatal?.level, 'fatal')
    assert.equal(fatal?.message, 'slot halted')
    assert.equal(fatal?.details, 'markets-2; Error: no price at mysql://***@db:3306')
    const [alarm] = await eventually(() => some(toldOf('engine:gap')))
    assert.equal(alarm?.level, 'alarm')
    assert.equal(alarm?.details, '{"last":3}')
    assert.deepEqual(toldOf('engine:quiet'), [])
    const mail = await eventually(() => some(mails.filter((one) => one.includes('slot halted'))))
    assert.match(mail[0] ?? '', /^Subject: \[exchange\] fatal: engine-1: slot halted\r$/m)
    assert.match(mail[0] ?? '', /^To: ops@example\.com\r$/m)
  })

  it('tells of one kind at most one in its time, over all processes, and then how many there were', async () => {
    for (let instance = 1; instance <= 4; instance++) {
      const log = logOf('accounts', `accounts-${instance}`)
      // A process sends its first alone.
      for (let time = 0; time < 10; time++) log.fatal({ code: 'storm' }, 'again')
    }
    await eventually(() => some(toldOf('accounts:storm')))
    await sleep(500)
    assert.equal(toldOf('accounts:storm').length, 1)
    await sleep(EVERY_SECONDS * 1000)
    logOf('accounts', 'accounts-5').fatal({ code: 'storm' }, 'again')
    const [, second] = await eventually(() => some(toldOf('accounts:storm'), 2))
    assert.equal(second?.held, 3)
    assert.match(second?.text ?? '', /And 3 more of this kind/)
  })

  it('tries again until it is told, tells nobody twice, and is not ready meanwhile', async () => {
    isWebhookDown = true
    logOf('orders').fatal({ code: 'while_down' }, 'the webhook is down')
    await eventually(async () => assert.equal((await fetch(healthUrl)).status, 503))
    const report = (await (await fetch(healthUrl)).json()) as { checks: { delivery: { detail: string } } }
    assert.match(report.checks.delivery.detail, /webhook at .*: Error: The webhook answered with 500/)
    isWebhookDown = false
    await eventually(() => some(toldOf('orders:while_down')))
    await eventually(async () => assert.equal((await fetch(healthUrl)).status, 200))
    assert.equal(mails.filter((one) => one.includes('the webhook is down')).length, 1)
  })

  it('tells after its own death what it had taken and not told', async () => {
    isWebhookDown = true
    logOf('guid').fatal({ code: 'unlucky' }, 'taken by one that dies')
    await eventually(async () => assert.equal((await fetch(healthUrl)).status, 503))
    await alerts.kill()
    isWebhookDown = false
    await alerts.start()
    await eventually(() => some(toldOf('guid:unlucky')))
  })

  it('answers a test with where it went', async () => {
    const reply = await callRpc<AlertsTestReply>(nats, Rpc.alertsTest, {}, 20_000)
    assert.deepEqual(reply.deliveredTo, ['e-mail to ops@example.com', `webhook at ${new URL(webhook.url).host}`])
    assert(webhook.received.some(({ kind }) => kind.startsWith('alerts:test:')))
  })

  it('is told by a process that ends for want of something, before it is gone', async () => {
    const dying = await startProcess({
      name: 'orders',
      command: process.execPath,
      args: [join(import.meta.dirname, '../guid/main.ts')],
      env: { ...process.env, NATS_URL: bus.url, REDIS_URL: redis.url, NATS_REPLICAS: 'many' },
      output: { onLine: () => {} },
      isReady: async () => true,
      readyTimeoutMs: 10_000,
      stopTimeoutMs: 10_000,
    })
    assert.equal((await dying.exited).code, 1)
    const [told] = await eventually(() => some(toldOf('guid:config_invalid')))
    assert.match(told?.details ?? '', /NATS_REPLICAS must be a whole number/)
  })
})

function some<One>(list: readonly One[], atLeast = 1): readonly One[] {
  assert(list.length >= atLeast, `${list.length} of ${atLeast}`)
  return list
}
