/**
 * What a gateway itself costs: microseconds of its CPU per `POST /order`, with token, limits, validation, bus and answer,
 * against a bare Hapi server that answers a constant of the same size. The machines' place is taken by an echo.
 *
 *     npm run bench:gateway [-- --quick] [--seconds 2] [--rounds 7] [--connections 128] [--profile <folder>]
 *
 * `--profile` writes a CPU profile of the gateway there.
 */
import { fork } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import jwt from 'jsonwebtoken'
import { type OwnedProcess, startProcess } from '#launcher/servers/child-process.ts'
import { freePort, loopback } from '#launcher/servers/ports.ts'
import type { PublicKey } from '#mesh/protocol/auth.ts'
import { startNats } from '#mesh/testing/servers.ts'
import { TOKEN_AUDIENCE_DEFAULT, TOKEN_ISSUER_DEFAULT } from '#mesh/tokens.ts'
import type { Task } from '../http/generator.ts'
import { Load, Reference } from '../http/target.ts'
import { median, round, table } from '../support/statistics.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    seconds: { type: 'string' },
    rounds: { type: 'string' },
    connections: { type: 'string', default: '128' },
    profile: { type: 'string' },
  },
})
const COUNTED_MS = Number(values.seconds ?? (values.quick ? 1 : 2)) * 1000
const ROUNDS = Number(values.rounds ?? (values.quick ? 1 : 7))
const CONNECTIONS = Number(values.connections)
const WARMUP_MS = 200
const WARM_MS = values.quick ? 1_000 : 5_000
const MEMBERS = 1_000

const root = join(import.meta.dirname, '..', '..')
const directory = mkdtempSync(join(tmpdir(), 'exchange-bench-'))
const nats = await startNats()
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const echo = fork(join(import.meta.dirname, 'echo.ts'), [nats.url])
echo.send({ ...publicKey.export({ format: 'jwk' }), kid: 'bench', alg: 'ES256', use: 'sig' } as PublicKey)
await once(echo, 'message')
const port = await freePort()
const guid = await start('guid', 'services/guid/main.ts', await freePort(), [])
const profiling = values.profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${values.profile}`]
const gateway = await start('gateway', 'gateway/main.ts', port, profiling)

const load = new Load()
const tokens = Array.from({ length: MEMBERS }, (_, index) => tokenOf(1_000_000 + index))
const task = (name: string, address: { host: string; port: number }, countedMs = COUNTED_MS): Task => ({
  name,
  addresses: [address],
  tokens,
  connections: CONNECTIONS,
  warmupMs: WARMUP_MS,
  countedMs,
  seed: 1,
})
const results: Record<'gateway' | 'reference', { us: number[]; perSecond: number[] }> = {
  gateway: { us: [], perSecond: [] },
  reference: { us: [], perSecond: [] },
}
// Short rounds in turn, so that whatever else the machine does hits both alike.
const warm = await load.run(task('warm', { host: loopback, port }, WARM_MS), {})
const bytes = warm.bodyBytesMean
const reference = await Reference.start(bytes)
await load.run(task('warm', reference.address, WARM_MS), {})
for (let at = 1; at <= ROUNDS; at++) {
  const one = await load.run(task(`g${at}`, { host: loopback, port }), { gateway: gateway.pid ?? 0 })
  for (const [what, count] of Object.entries(one.others)) throw new Error(`${count} orders were answered ${what}`)
  results.gateway.us.push((one.cpuUs.gateway ?? 0) / one.answered)
  results.gateway.perSecond.push((one.answered * 1000) / one.countedMs)
  const bare = await load.run(task(`r${at}`, reference.address), reference.pids)
  results.reference.us.push((bare.cpuUs.reference ?? 0) / bare.answered)
  results.reference.perSecond.push((bare.answered * 1000) / bare.countedMs)
}
await reference[Symbol.asyncDispose]()
await gateway.stop()
await guid.stop()
echo.kill()
await load[Symbol.asyncDispose]()
await nats.stop()
rmSync(directory, { recursive: true, force: true })

const gatewayUs = median(results.gateway.us)
const referenceUs = median(results.reference.us)
console.log(
  table([
    ['', 'CPU µs per request', 'requests/s'],
    ['gateway', gatewayUs.toFixed(1), median(results.gateway.perSecond).toFixed(0)],
    ['bare Hapi', referenceUs.toFixed(1), median(results.reference.perSecond).toFixed(0)],
  ]),
)
console.log(
  JSON.stringify({
    bench: 'gateway',
    cores: availableParallelism(),
    settings: {
      connections: CONNECTIONS,
      seconds: COUNTED_MS / 1000,
      rounds: ROUNDS,
      answerBytes: bytes,
    },
    result: {
      gatewayCpuUs: round(gatewayUs, 1),
      bareHapiCpuUs: round(referenceUs, 1),
      cpuRatio: round(gatewayUs / referenceUs, 3),
    },
  }),
)

function start(name: string, script: string, onPort: number, flags: readonly string[]): Promise<OwnedProcess> {
  const isGateway = name === 'gateway'
  return startProcess({
    name,
    command: process.execPath,
    args: [...flags, join(root, script)],
    env: {
      ...process.env,
      NATS_URL: nats.url,
      INSTANCE_ID: `${name}-1`,
      LOG_LEVEL: 'warn',
      RATE_TRADE: '1000000:1000000',
      ...(isGateway ? { GATEWAY_PORT: String(onPort) } : { HEALTH_PORT: String(onPort) }),
    },
    cwd: root,
    output: { file: join(directory, `${name}.log`) },
    isReady: async () => {
      try {
        return (await fetch(`http://${loopback}:${onPort}/health/ready`)).ok
      } catch {
        return false
      }
    },
    readyTimeoutMs: 60_000,
    stopTimeoutMs: 10_000,
  })
}

function tokenOf(memberId: number): string {
  return jwt.sign({ roles: ['member'], scopes: ['read', 'trade', 'account'], sid: '1' }, privateKey, {
    algorithm: 'ES256',
    keyid: 'bench',
    issuer: TOKEN_ISSUER_DEFAULT,
    audience: TOKEN_AUDIENCE_DEFAULT,
    subject: String(memberId),
    jwtid: String(memberId),
    expiresIn: 3_600,
  })
}
