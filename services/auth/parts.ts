import type { NatsConnection } from '@nats-io/transport-node'
import type { Logger } from 'pino'
import type { Ids } from '#mesh/ids.ts'
import type { Pool } from '#mesh/mysql.ts'
import type { TokenVerifier } from '#mesh/tokens.ts'
import type { Attempts } from './attempts.ts'
import type { AuthConfig } from './config.ts'
import type { Denials } from './denials.ts'
import type { Hasher } from './hashing.ts'
import type { Outbox } from './outbox.ts'
import type { Signer } from './signer.ts'

/** What the answers of auth are made of. */
export interface AuthParts {
  readonly config: AuthConfig
  readonly log: Logger
  readonly nats: NatsConnection
  readonly pool: Pool
  readonly ids: Ids
  readonly hasher: Hasher
  readonly attempts: Attempts
  readonly denials: Denials
  readonly outbox: Outbox
  readonly signer: Signer
  readonly verifier: TokenVerifier
}
