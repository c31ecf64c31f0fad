import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { NatsConnection } from '@nats-io/transport-node'
import jwt from 'jsonwebtoken'
import type { Logger } from 'pino'
import { type BucketView, openBucket } from '#mesh/buckets.ts'
import type { Ids } from '#mesh/ids.ts'
import { type Pool, type PoolConnection, type Row, withNamedLock } from '#mesh/mysql.ts'
import type { PublicKey, Role, RotateKeyReply, Scope } from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { Bucket } from '#mesh/subjects.ts'
import type { AuthConfig } from './config.ts'
import { expiredKeys, isRotationDue, type KeyTimes, SHORT_TOKEN_MS_MAX, signingKey } from './domain/keys.ts'

export interface TokenToSign {
  readonly memberId: number
  readonly tokenId: number
  readonly roles: readonly Role[]
  readonly scopes: readonly Scope[]
  readonly sessionId?: number
  readonly members?: readonly number[]
  readonly expiresAtMs: number
}

export interface Signer {
  /** Lives at most a day; longer ones by `signLong`. */
  sign(token: TokenToSign): string
  /** Writes down in the caller's transaction until when the key is needed. */
  signLong(connection: PoolConnection, token: TokenToSign): Promise<string>
  publicKeys(): PublicKey[]
  /** A new key now, whatever the age of the old one. */
  rotate(): Promise<RotateKeyReply>
  /** Reads the keys, makes a new one when it is due, publishes what is to be known, drops what nobody needs. */
  refresh(): Promise<void>
}

interface Key extends KeyTimes {
  readonly privateKey: KeyObject
  readonly publicKey: PublicKey
}

export function createSigner(parts: {
  readonly config: AuthConfig
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly ids: Ids
  readonly log: Logger
  /** What the bucket of public keys holds. */
  readonly published: Pick<BucketView, 'entries'>
}): Signer {
  const { config, nats, pool, ids, log, published } = parts
  let keys: readonly Key[] = []
  let unknownBefore: ReadonlySet<string> = new Set()

  const current = (): Key => {
    // What nobody can verify yet signs nothing, as long as there is another.
    const known = keys.filter(({ id }) => published.entries.has(id))
    const key = signingKey(known, Date.now()) ?? signingKey(keys, Date.now())
    if (key === undefined) throw new RpcError('auth_busy', 'There is no key to sign with yet.')
    return key
  }
  const signWith = ({ id, privateKey }: Key, token: TokenToSign): string =>
    jwt.sign(
      {
        sub: String(token.memberId),
        jti: String(token.tokenId),
        iss: config.issuer,
        aud: config.audience,
        exp: Math.floor(token.expiresAtMs / 1000),
        roles: token.roles,
        scopes: token.scopes,
        ...(token.sessionId === undefined ? {} : { sid: String(token.sessionId) }),
        ...(token.members === undefined ? {} : { members: token.members }),
      },
      privateKey,
      { algorithm: 'ES256', keyid: id },
    )
  const load = async (): Promise<void> => {
    const [rows] = await pool.query<Row[]>('SELECT * FROM signing_keys ORDER BY id')
    const known = new Map(keys.map((key) => [key.id, key]))
    keys = rows.map((row) => keyOfRow(row, known.get(String(row.id))))
  }
  const publish = async (): Promise<void> => {
    const wanted = new Map(keys.map(({ id, publicKey }) => [id, JSON.stringify(publicKey)]))
    const missing = [...wanted].filter(([id, text]) => published.entries.get(id) !== text)
    const unknown = [...published.entries.keys()].filter((id) => !wanted.has(id))
    // Another instance may have made it since the keys were read: it goes when it is unknown twice.
    const surplus = unknown.filter((id) => unknownBefore.has(id))
    unknownBefore = new Set(unknown)
    if (missing.length + surplus.length === 0) return
    const kv = await openBucket(nats, Bucket.keys, config.replicas)
    for (const [id, text] of missing) await kv.put(id, text)
    for (const id of surplus) await kv.delete(id)
  }
  const make = async (): Promise<RotateKeyReply> => {
    const nowMs = Date.now()
    const keyId = String(await ids.next())
    // The very first one is used at once: there is no other, and no token yet that somebody could fail to verify.
    const usedFromMs = keys.length === 0 ? nowMs : nowMs + config.keyLeadS * 1000
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
    const pem = privateKey.export({ format: 'pem', type: 'pkcs8' })
    await pool.query(
      `INSERT INTO signing_keys (id, private_pem, public_x, public_y, created_at_ms, used_from_ms, tokens_until_ms)
       VALUES (?, ?, ?, ?, ?, ?, 0)`,
      [keyId, pem, x, y, nowMs, usedFromMs],
    )
    await load()
    await publish()
    log.info({ keyId, usedFromMs }, 'a signing key was made')
    return { keyId, usedFromMs }
  }
  const dropExpired = async (): Promise<void> => {
    for (const { id, tokensUntilMs } of expiredKeys(keys, Date.now())) {
      // Not if a token was signed with it since it was read.
      await pool.query('DELETE FROM signing_keys WHERE id = ? AND tokens_until_ms = ?', [id, tokensUntilMs])
      log.info({ keyId: id }, 'a signing key was dropped: its tokens have expired')
    }
  }
  const isDue = (): boolean => isRotationDue(keys, Date.now(), config.keyDays * 86_400_000)

  return {
    sign(token) {
      if (token.expiresAtMs > Date.now() + SHORT_TOKEN_MS_MAX + 1000)
        throw new Error('The token lives too long to be signed so.')
      return signWith(current(), token)
    },
    async signLong(connection, token) {
      const key = current()
      const [result] = await connection.query(
        'UPDATE signing_keys SET tokens_until_ms = GREATEST(tokens_until_ms, ?) WHERE id = ?',
        [token.expiresAtMs, key.id],
      )
      if (!('affectedRows' in result) || result.affectedRows !== 1)
        throw new RpcError('auth_busy', 'The signing key was dropped.')
      return signWith(key, token)
    },
    publicKeys: () => keys.map(({ publicKey }) => publicKey),
    rotate: () => withNamedLock(pool, 'auth-keys:', make),
    async refresh() {
      await load()
      if (isDue()) {
        await withNamedLock(pool, 'auth-keys:', async () => {
          await load()
          if (isDue()) await make()
        })
      }
      await dropExpired()
      await load()
      await publish()
    },
  }
}

function keyOfRow(row: Row, known: Key | undefined): Key {
  const id = String(row.id)
  return {
    id,
    createdAtMs: Number(row.created_at_ms),
    usedFromMs: Number(row.used_from_ms),
    tokensUntilMs: Number(row.tokens_until_ms),
    privateKey: known?.privateKey ?? createPrivateKey(String(row.private_pem)),
    publicKey: {
      kty: 'EC',
      crv: 'P-256',
      x: String(row.public_x),
      y: String(row.public_y),
      kid: id,
      alg: 'ES256',
      use: 'sig',
    },
  }
}
