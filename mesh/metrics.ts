import { Counter, Gauge, Registry } from 'prom-client'

/** Every metric of this process; served at `/metrics` on its health port. */
const registry = new Registry()

export const metricsContentType: string = registry.contentType

export const metricsText = (): Promise<string> => registry.metrics()

export function counter<Label extends string>(
  name: string,
  help: string,
  labelNames: readonly Label[],
): Counter<Label> {
  return new Counter({ name, help, labelNames, registers: [registry] })
}

export function gauge<Label extends string>(name: string, help: string, labelNames: readonly Label[]): Gauge<Label> {
  return new Gauge({ name, help, labelNames, registers: [registry] })
}
