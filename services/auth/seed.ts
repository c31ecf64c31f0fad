import { randomBytes } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { inTransaction } from '#mesh/mysql.ts'
import type { SeedReply, SeedRequest } from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { insertCredentials } from './members.ts'
import type { AuthParts } from './parts.ts'

const ROWS_AT_ONCE = 1000
const LIFETIME_S_DEFAULT = 3600
/** Signatures between two turns of the event loop: other requests wait that long, a few milliseconds. */
const SIGNATURES_AT_ONCE = 50

/** Members for load tests: one password for all of them, so that it is hashed once. */
export async function seed(
  parts: AuthParts,
  { count, lifetimeS = LIFETIME_S_DEFAULT }: SeedRequest,
): Promise<SeedReply> {
  if (parts.config.mode === 'production')
    throw new RpcError('seed_refused', 'Members are not made up in production mode.')
  const memberIds = await parts.ids.nextMany(count)
  const tokenIds = await parts.ids.nextMany(count)
  const password = randomBytes(12).toString('base64url')
  const stored = await parts.hasher.hash(password)
  for (let start = 0; start < count; start += ROWS_AT_ONCE) {
    const chunk = memberIds.slice(start, start + ROWS_AT_ONCE)
    const nowMs = Date.now()
    const rows = await inTransaction(parts.pool, async (connection) => {
      await connection.query('INSERT INTO members (id, email, roles, status, created_at_ms) VALUES ?', [
        chunk.map((memberId) => [memberId, `seed-${memberId}@seed.invalid`, 'member', 'active', nowMs]),
      ])
      await insertCredentials(connection, chunk, stored, nowMs)
      return await parts.outbox.writeCreation(connection, chunk)
    })
    await parts.outbox.appendCreations(rows)
  }
  const expiresAtMs = (Math.floor(Date.now() / 1000) + lifetimeS) * 1000
  const members: [number, string][] = []
  for (const [index, memberId] of memberIds.entries()) {
    const tokenId = tokenIds[index] ?? 0
    const token = parts.signer.sign({
      memberId,
      tokenId,
      roles: ['member'],
      scopes: ['read', 'trade', 'account'],
      expiresAtMs,
    })
    members.push([memberId, token])
    if (index % SIGNATURES_AT_ONCE === 0) await turn()
  }
  return { password, members }
}
