import type { BrokerName } from './brokers.ts'

/** A kind of process that the launcher runs, once or several times. */
export type ServiceDefinition = {
  name: string
  /** From the project's directory. */
  script: string
  /** A stage starts when all of the one before are ready, and stops before it. */
  stage: number
  /** The gateway: it serves its health on its own port, and Traefik balances to its instances. */
  isGateway?: true
  /** The operator's page: it has a port of its own, and starts when everything else runs, to be told where that is. */
  isOperatorPage?: true
  /** It starts once this broker and everything that needs none are there, and is left out where there is none. */
  needs?: BrokerName
  /** It runs only where this setting is given. */
  onlyWith?: string
  /**
   * Size of a half of the heap's young generation in MB, for those with much garbage and much that is under way: what is under
   * way is copied at each collection, so fewer of them are less work. It costs twice as much memory under load.
   */
  youngMb?: number
}

export const services: readonly ServiceDefinition[] = [
  { name: 'auth', script: 'services/auth/main.ts', stage: 1 },
  { name: 'guid', script: 'services/guid/main.ts', stage: 1 },
  { name: 'accounts', script: 'services/accounts/main.ts', stage: 1, youngMb: 64 },
  { name: 'engine', script: 'services/engine/main.ts', stage: 1 },
  { name: 'orders', script: 'services/orders/main.ts', stage: 1, youngMb: 64 },
  { name: 'archive', script: 'services/archive/main.ts', stage: 1, onlyWith: 'ARCHIVE_DIR' },
  { name: 'alerts', script: 'services/alerts/main.ts', stage: 1 },
  { name: 'push-market', script: 'services/push-market/main.ts', stage: 1 },
  { name: 'stats', script: 'services/stats/main.ts', stage: 1 },
  { name: 'push-orders', script: 'services/push-orders/main.ts', stage: 1 },
  { name: 'push-accounts', script: 'services/push-accounts/main.ts', stage: 1 },
  { name: 'gateway', script: 'gateway/main.ts', stage: 2, isGateway: true, youngMb: 64 },
  { name: 'ingest-kafka', script: 'services/ingest-kafka/main.ts', stage: 3, needs: 'kafka', youngMb: 64 },
  { name: 'event-log', script: 'services/event-log/main.ts', stage: 3, needs: 'kafka', youngMb: 64 },
  { name: 'ingest-rabbitmq', script: 'services/ingest-rabbitmq/main.ts', stage: 3, needs: 'rabbitmq' },
  { name: 'operator-page', script: 'services/operator-page/main.ts', stage: 4, isOperatorPage: true },
]

export const migrateScript = 'services/orders/migrate.ts'

/** What Node is told before the script of a service. */
export const nodeFlags = ({ youngMb }: { name: string; youngMb?: number }): readonly string[] =>
  youngMb === undefined ? [] : [`--min-semi-space-size=${youngMb}`, `--max-semi-space-size=${youngMb}`]
