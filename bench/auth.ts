import { availableParallelism } from 'node:os'
import type { SessionReply } from '#mesh/protocol/auth.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { Rpc } from '#mesh/subjects.ts'
import { newMember, startAuthMesh } from '#services/auth/testing.ts'

/** One auth instance on real NATS and MariaDB: seeding, logins at the default cost of a password, refreshes, verifying. */
const MEMBERS = 10_000
const LOGINS = 40
const REFRESHES = 400
const AT_ONCE = 4
const ANSWER_MS_MAX = 60_000

const mesh = await startAuthMesh(1, { PASSWORD_COST_LOG2: '15' })

try {
  await run()
} finally {
  await mesh.stop()
}

async function run(): Promise<void> {
  const seedStarted = performance.now()
  const members = await seedMembers(mesh.nats, { count: MEMBERS })
  const seedSeconds = round((performance.now() - seedStarted) / 1000)

  const freshUs = each(() => {
    for (const { accessToken } of members) good(accessToken)
  }, MEMBERS)
  const rounds = 50
  const seenUs = each(() => {
    for (let turn = 0; turn < rounds; turn++) for (const { accessToken } of members) good(accessToken)
  }, MEMBERS * rounds)

  const loginsPerSecond = await rate(LOGINS, async (index) => {
    const { email, password } = members[index] ?? { email: '', password: '' }
    await mesh.ask(Rpc.authLogin, { email, password }, ANSWER_MS_MAX)
  })
  const tokens: string[] = []
  for (let lane = 0; lane < AT_ONCE; lane++) tokens.push((await newMember(mesh)).refreshToken)
  const refreshesPerSecond = await rate(REFRESHES, async (_, lane) => {
    const { refreshToken } = await mesh.ask<SessionReply>(
      Rpc.authRefresh,
      { refreshToken: tokens[lane] },
      ANSWER_MS_MAX,
    )
    tokens[lane] = refreshToken
  })

  const result = { seedSeconds, loginsPerSecond, refreshesPerSecond, verifySeenUs: seenUs, verifyFreshUs: freshUs }
  console.log(`one auth instance, ${MEMBERS} members`)
  console.log(`  seeding them          ${seedSeconds} s`)
  console.log(`  logins a second       ${loginsPerSecond}`)
  console.log(`  refreshes a second    ${refreshesPerSecond}`)
  console.log(`  verify, token seen    ${seenUs} µs`)
  console.log(`  verify, token new     ${freshUs} µs`)
  console.log(JSON.stringify({ bench: 'auth', cores: availableParallelism(), settings: { members: MEMBERS }, result }))
}

function good(token: string): void {
  const claims = mesh.verifier.verify(token)
  if ('code' in claims) throw new Error(claims.code)
}

function each(work: () => void, count: number): number {
  const started = performance.now()
  work()
  return round(((performance.now() - started) * 1000) / count)
}

async function rate(count: number, work: (index: number, lane: number) => Promise<void>): Promise<number> {
  const started = performance.now()
  let next = 0
  const take = async (lane: number): Promise<void> => {
    while (next < count) await work(next++, lane)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, (_, lane) => take(lane)))
  return Math.round(count / ((performance.now() - started) / 1000))
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000
}
