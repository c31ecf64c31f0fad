import type { Logger } from 'pino'
import { telemetryConfig } from './config.ts'
import type { Telemetry } from './telemetry.ts'

/** Nothing where no endpoint is configured: the libraries are not even loaded then. @throws ConfigError */
export async function startTelemetry(
  service: { readonly name: string; readonly instanceId: string },
  env: Readonly<Record<string, string | undefined>>,
  log: Logger,
): Promise<Telemetry | undefined> {
  const config = telemetryConfig(env)
  if (config === undefined) return undefined
  const { createTelemetry } = await import('./open-telemetry.ts')
  return createTelemetry(service, config, log)
}
