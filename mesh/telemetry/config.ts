import { ConfigError, wholeNumber } from '../config.ts'

export interface TelemetryConfig {
  /** Share of the requests and messages that get spans in every service they pass. */
  readonly ratio: number
  /** A request that takes longer gets its trace afterwards, in microseconds. */
  readonly slowUs: number
}

type Env = Readonly<Record<string, string | undefined>>

const SAMPLERS: ReadonlySet<string> = new Set(['traceidratio', 'parentbased_traceidratio'])

/**
 * | variable | default | |
 * |---|---|---|
 * | `OTEL_EXPORTER_OTLP_ENDPOINT` (or `…_TRACES_ENDPOINT`) | none: tracing is off | where spans go: OTLP over HTTP |
 * | `OTEL_TRACES_SAMPLER_ARG` | 0.01 | share that is sampled at the edge, 0..1 |
 * | `TRACE_SLOW_MS` | 500 | a request that takes longer is traced afterwards, as one that fails is |
 *
 * The exporter reads its other standard variables itself (`OTEL_EXPORTER_OTLP_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION`).
 * @throws ConfigError
 */
export function telemetryConfig(env: Env): TelemetryConfig | undefined {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT
  if (!endpoint || env.OTEL_SDK_DISABLED === 'true') return undefined
  if (!/^https?:\/\//.test(endpoint)) {
    throw new ConfigError(`OTEL_EXPORTER_OTLP_ENDPOINT must begin with http:// or https://, not "${endpoint}".`)
  }
  const protocol = env.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL || env.OTEL_EXPORTER_OTLP_PROTOCOL || 'http/json'
  if (protocol !== 'http/json') {
    throw new ConfigError(
      `OTEL_EXPORTER_OTLP_PROTOCOL must be http/json, which every collector takes, not "${protocol}".`,
    )
  }
  const sampler = env.OTEL_TRACES_SAMPLER || 'traceidratio'
  if (!SAMPLERS.has(sampler)) {
    throw new ConfigError(`OTEL_TRACES_SAMPLER must be traceidratio, not "${sampler}".`)
  }
  return {
    ratio: ratioOf(env.OTEL_TRACES_SAMPLER_ARG || '0.01'),
    slowUs: wholeNumber('TRACE_SLOW_MS', env.TRACE_SLOW_MS || '500', 1, 3_600_000) * 1_000,
  }
}

function ratioOf(text: string): number {
  const ratio = Number(text)
  if (!/^[0-9.]+$/.test(text) || !(ratio >= 0 && ratio <= 1)) {
    throw new ConfigError(`OTEL_TRACES_SAMPLER_ARG must be a number from 0 to 1, not "${text}".`)
  }
  return ratio
}
