import type { NatsConnection } from '@nats-io/transport-node'
import type { SeedReply } from './protocol/auth.ts'
import { callRpc } from './rpc.ts'
import { Rpc } from './subjects.ts'

export interface SeededMember {
  readonly memberId: number
  readonly email: string
  readonly password: string
  readonly accessToken: string
}

/** In one request; a reply has half a kilobyte for each member. */
const MEMBERS_AT_ONCE = 2_500
const REQUESTS_AT_ONCE = 2
const SEED_MS_MAX = 60_000

/** Members with accounts and tokens for load tests: ten thousand of them in seconds. @throws RpcError `seed_refused` */
export async function seedMembers(
  nats: NatsConnection,
  { count, lifetimeS }: { readonly count: number; readonly lifetimeS?: number },
): Promise<SeededMember[]> {
  const members: SeededMember[] = []
  let left = count
  const askOn = async (): Promise<void> => {
    while (left > 0) {
      const asked = Math.min(left, MEMBERS_AT_ONCE)
      left -= asked
      const request = { count: asked, ...(lifetimeS === undefined ? {} : { lifetimeS }) }
      const reply = await callRpc<SeedReply>(nats, Rpc.authSeed, request, SEED_MS_MAX)
      for (const [memberId, accessToken] of reply.members) {
        members.push({ memberId, email: `seed-${memberId}@seed.invalid`, password: reply.password, accessToken })
      }
    }
  }
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, askOn))
  return members
}
