import assert from 'node:assert/strict'
import pino from 'pino'
import { ConfigError } from '../config.ts'
import { telemetryConfig } from './config.ts'
import { startTelemetry } from './start.ts'

const OTEL_EXPORTER_OTLP_ENDPOINT = 'http://127.0.0.1:4318'
const DEFAULTS = { ratio: 0.01, slowUs: 500_000 }

describe('settings of tracing', () => {
  const table: [env: Record<string, string>, config: object | undefined][] = [
    [{}, undefined],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, undefined],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_SDK_DISABLED: 'true' }, undefined],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT }, DEFAULTS],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://jaeger.example.com/v1/traces' }, DEFAULTS],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER_ARG: '', TRACE_SLOW_MS: '' }, DEFAULTS],
    [
      { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_TRACES_SAMPLER_ARG: '1', TRACE_SLOW_MS: '20' },
      { ratio: 1, slowUs: 20_000 },
    ],
  ]
  for (const [env, config] of table) {
    it(JSON.stringify(env), () => assert.deepEqual(telemetryConfig(env), config))
  }
  for (const [name, value] of [
    ['OTEL_EXPORTER_OTLP_ENDPOINT', 'jaeger:4317'],
    ['OTEL_EXPORTER_OTLP_PROTOCOL', 'grpc'],
    ['OTEL_TRACES_SAMPLER', 'always_on'],
    ['OTEL_TRACES_SAMPLER_ARG', '1.5'],
    ['OTEL_TRACES_SAMPLER_ARG', '-1'],
    ['OTEL_TRACES_SAMPLER_ARG', 'some'],
    ['TRACE_SLOW_MS', '0'],
  ] as const) {
    it(`${name} may not be ${value}, and the error names it`, () =>
      assert.throws(
        () => telemetryConfig({ OTEL_EXPORTER_OTLP_ENDPOINT, [name]: value }),
        (error) => error instanceof ConfigError && error.message.startsWith(name),
      ))
  }
  it('without an endpoint there is no tracing', async () => {
    const log = pino({ level: 'silent' })
    assert.equal(await startTelemetry({ name: 'test', instanceId: 'test-1' }, {}, log), undefined)
  })
})
