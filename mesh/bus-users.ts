import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConnectionOptions, nkeyAuthenticator, nkeys } from '@nats-io/transport-node'
import { ConfigError } from './config.ts'
import { busUsers, inboxPrefix, permissionsOf } from './permissions.ts'
import type { MeshShape } from './streams.ts'

type Env = Readonly<Record<string, string | undefined>>

const seedPath = (directory: string, user: string): string => join(directory, `${user}.nk`)

/**
 * How to connect as a user of the bus. `NATS_NKEY_DIR`: where the seeds of the users are (each service needs its own alone);
 * `NATS_CA_FILE`: whom to trust besides the system, `NATS_CERT_FILE` and `NATS_CERT_KEY_FILE`: what to show to a server that asks.
 * @throws ConfigError
 */
export function busAccess(user: string, env: Env): ConnectionOptions {
  const { NATS_NKEY_DIR: directory, NATS_CA_FILE: caFile, NATS_CERT_FILE: certFile, NATS_CERT_KEY_FILE: keyFile } = env
  if (Boolean(certFile) !== Boolean(keyFile)) {
    throw new ConfigError('NATS_CERT_FILE and NATS_CERT_KEY_FILE go together.')
  }
  const tls = { ...(caFile ? { caFile } : {}), ...(certFile && keyFile ? { certFile, keyFile } : {}) }
  return {
    ...(Object.keys(tls).length === 0 ? {} : { tls }),
    ...(directory
      ? { authenticator: nkeyAuthenticator(readSeed(directory, user)), inboxPrefix: inboxPrefix(user) }
      : {}),
  }
}

function readSeed(directory: string, user: string): Uint8Array {
  const path = seedPath(directory, user)
  if (!existsSync(path))
    throw new ConfigError(`NATS_NKEY_DIR: there is no ${path}; npm run exchange -- bus-users makes it.`)
  return new TextEncoder().encode(readFileSync(path, 'utf8').trim())
}

/**
 * Makes a key for each user that has none yet, and returns what goes into the server's configuration. Only public keys are in
 * that: whoever reads it can be nobody.
 */
export function makeBusUsers(directory: string, shape: MeshShape): string {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const users = busUsers().map((user) => {
    const path = seedPath(directory, user)
    if (!existsSync(path)) {
      const seed = new TextDecoder().decode(nkeys.createUser().getSeed())
      writeFileSync(path, `${seed}\n`, { mode: 0o600 })
    }
    return { user, publicKey: nkeys.fromSeed(readSeed(directory, user)).getPublicKey() }
  })
  const entries = users.map(({ user, publicKey }) => {
    const { publish = [], subscribe = [] } = permissionsOf(user, shape) ?? {}
    return `    # ${user}
    {
      nkey: ${publicKey}
      permissions: {
        publish: { allow: ${JSON.stringify(publish)} }
        subscribe: { allow: ${JSON.stringify(subscribe)} }
        # Whoever is asked may answer, once and soon.
        allow_responses: { max: 1, expires: "1m" }
      }
    }`
  })
  return `authorization {\n  users: [\n${entries.join('\n')}\n  ]\n}\n`
}
