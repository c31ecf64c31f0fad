import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from '#launcher/servers/child-process.ts'
import { projectDirectory } from '#launcher/servers/directories.ts'
import { freePort } from '#launcher/servers/ports.ts'
import {
  type PrometheusPrograms,
  type PrometheusServer,
  prometheusPrograms,
  startPrometheusServer,
} from '#launcher/servers/prometheus.ts'
import { callRpc } from '#mesh/rpc.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log, slotSnapshotSubject } from '#mesh/subjects.ts'
import { Client } from './support/client.ts'
import { eventually } from './support/eventually.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

const RULES = join(projectDirectory, 'ops/prometheus/rules.yml')
const DASHBOARD = join(projectDirectory, 'ops/grafana/dashboards/exchange.json')

describe('metrics, as a real Prometheus scrapes them', function () {
  this.timeout(60_000)
  const directory = mkdtempSync(join(tmpdir(), 'exchange-metrics-'))
  let programs: PrometheusPrograms
  let mesh: TestMesh
  let prometheus: PrometheusServer

  before(async function () {
    this.timeout(180_000)
    const found = await prometheusPrograms()
    if (found === undefined) {
      console.warn(
        'SKIPPED: metrics, rules and dashboard: there is no prometheus with promtool here to install or run.',
      )
      this.skip()
    }
    programs = found
    mesh = await startMesh({
      scale: { gateway: 2, accounts: 2 },
      env: { PASSWORD_COST_LOG2: '10', SNAPSHOT_DIR: join(directory, 'snapshots') },
    })
    await mesh.add('alerts')
    await mesh.add('operator-page', { OPERATOR_PORT: String(await freePort()) })
    const targets = [...mesh.metricsAddresses].map(([instance, address]) => ({
      targets: [address],
      labels: { service: instance.replace(/-[0-9]+$/, ''), instance },
    }))
    const targetsFile = join(directory, 'targets.json')
    writeFileSync(targetsFile, JSON.stringify(targets))
    const program = programs.prometheus
    prometheus = await startPrometheusServer({ program, directory, targetsFile, scrapeInterval: '1s' })
    await trade(mesh)
  })
  after(async () => {
    await prometheus?.stop()
    await mesh?.stop()
    rmSync(directory, { recursive: true, force: true })
  })

  const query = async (expression: string): Promise<Series[]> => {
    const body = new URLSearchParams({ query: expression })
    const response = await fetch(`${prometheus.url}/api/v1/query`, { method: 'POST', body })
    const answer = (await response.json()) as { status: string; error?: string; data: { result: Series[] } }
    assert.equal(answer.status, 'success', `${expression}: ${answer.error}`)
    return answer.data.result
  }
  const seriesOf = async (expression: string): Promise<Series[]> => {
    const series = await query(expression)
    assert(series.length > 0, `nothing for ${expression}`)
    return series
  }

  it('are scraped of every instance, scaled ones included', async () => {
    const instances = [...mesh.metricsAddresses.keys()].sort()
    assert(instances.includes('gateway-2') && instances.includes('accounts-2'))
    await eventually(async () => {
      const up = (await seriesOf('up == 1')).map(({ metric }) => metric.instance ?? '')
      assert.deepEqual(up.sort(), instances)
    })
  })

  it('hold what every panel of the dashboard asks for', async () => {
    const { panels } = JSON.parse(readFileSync(DASHBOARD, 'utf8')) as {
      panels: { targets?: { expr: string }[] }[]
    }
    const expressions = panels.flatMap(({ targets }) => targets ?? []).map(({ expr }) => expr)
    assert(expressions.length > 20)
    await eventually(() => Promise.all(expressions.map(seriesOf)), 30_000)
  })

  it('hold what every alert looks at, and none of what should ring does', async () => {
    const response = await fetch(`${prometheus.url}/api/v1/rules`)
    const { data } = (await response.json()) as {
      data: { groups: { rules: { name: string; query: string; state: string; health: string }[] }[] }
    }
    const rules = data.groups.flatMap((group) => group.rules)
    assert.equal(rules.length, readFileSync(RULES, 'utf8').match(/- alert:/g)?.length)
    for (const { name, query: expression } of rules) {
      const looked = /^(.*) (?:==|>) [0-9.]+$/s.exec(expression)?.[1]
      assert(looked !== undefined, `${name} compares with no number: ${expression}`)
      await eventually(() => seriesOf(looked))
    }
    const ringing = rules.filter(({ name, state }) => state === 'firing' && !CALM_ONLY.has(name))
    assert.deepEqual(ringing, [])
  })

  it('tell what was done', async () => {
    const [orders] = await seriesOf(
      'sum(http_request_duration_seconds_count{method="POST", route="/order", status="201"})',
    )
    assert.equal(Number(orders?.value[1]), ORDERS)
    const [refused] = await seriesOf('sum(http_refusals_total{route="/order", code="insufficient_balance"})')
    assert.equal(Number(refused?.value[1]), 1)
    const owners = await seriesOf('sum by (log, slot) (exchange_slot_owned)')
    assert.equal(owners.length, 9)
    assert(owners.every(({ value }) => value[1] === '1'))
    const [standbys] = await seriesOf('sum(exchange_slot_following{log="accounts"})')
    assert.equal(Number(standbys?.value[1]), 4)
    const [entered] = await seriesOf('sum(exchange_slot_frame_items_sum{log="markets"})')
    assert(Number(entered?.value[1]) >= ORDERS)
    await eventually(async () => {
      const [rows] = await seriesOf('sum(exchange_projection_batch_rows_sum{projection="orders"})')
      assert(Number(rows?.value[1]) >= ORDERS)
    })
  })

  it('ring when a service is gone', async () => {
    await mesh.process('orders').kill()
    await eventually(async () => {
      const [alert] = await seriesOf('ALERTS{alertname="ServiceMissing"}')
      assert.equal(alert?.metric.service, 'orders')
    }, 30_000)
    await mesh.process('orders').start()
  })

  it('have rules and configurations that promtool finds good', async () => {
    const folder = join(projectDirectory, 'ops/prometheus')
    await run(programs.promtool, ['test', 'rules', join(folder, 'rules.test.yml')])
    for (const name of ['prometheus.yml', 'native.yml']) {
      await run(programs.promtool, ['check', 'config', join(folder, name)])
    }
  })
})

interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [time: number, value: string]
}

const ORDERS = 10

/** What a machine under the load of other tests may ring for. */
const CALM_ONLY: ReadonlySet<string> = new Set(['EventLoopBlocked', 'GatewaySlow', 'SlotLagging', 'ProjectionLagging'])

/** A little of everything that is measured. */
async function trade(mesh: TestMesh): Promise<void> {
  const anyone = new Client(mesh.urls)
  const login = async (email: string, password: string): Promise<Client> =>
    anyone.as((await anyone.ok('POST', '/sessions', { email, password })).accessToken)
  const admin = await login(mesh.admin.email, mesh.admin.password)
  const email = 'trader@example.com'
  const password = 'correct horse battery'
  const { id } = await anyone.ok('POST', '/members', { email, password })
  const member = await login(email, password)
  await admin.ok('POST', '/admin/deposits', { reference: 'd', memberId: id, asset: 'USDT', amount: '10000' })
  const order = { instrument: 'BTC-USDT', side: 'buy', type: 'limit', price: '60000', amount: '0.01' }
  for (let count = 0; count < ORDERS; count++) await member.ok('POST', '/order', order)
  await member.refused([422, 'insufficient_balance'], 'POST', '/order', { ...order, amount: '1' })

  const nats = await connectTo(mesh)
  const slot = accountSlotOf(Number(id), 4)
  await callRpc(nats, slotSnapshotSubject(Log.accounts, slot), {}, 30_000)
  await nats.close()
}
