import { askPresence, type Presence } from '#mesh/presence.ts'
import { parseSampling, switchSampling } from '#mesh/telemetry/sampling.ts'
import type { Sampling } from '#mesh/telemetry/telemetry.ts'
import type { Command } from '../command.ts'
import { UsageError } from '../errors.ts'
import { table } from '../table.ts'

const LISTEN_MS = 500

export const tracingCommand: Command = {
  name: 'tracing',
  arguments: ['[RATIO]'],
  options: {},
  summary: 'Show how much is traced, or change it while everything runs: a share from 0 to 1, off, or default.',
  help: `RATIO is the share of the requests that have spans in every service they pass: 0.05 is one in twenty. With 0 the others are still
traced afterwards where they failed or were slow; with off nothing is noted of any. It holds for all services at once and for those that
start later, until \`default\` gives each back what it is configured with (OTEL_TRACES_SAMPLER_ARG). A service without
OTEL_EXPORTER_OTLP_ENDPOINT does not trace in any case.`,
  example: 'tracing 0.05',
  run: async (connections, { positionals: [text] }) => {
    const nats = await connections.bus()
    if (text === undefined) return answerOf(await askPresence(nats, LISTEN_MS))
    const wanted = text === 'default' ? undefined : parseSampling(text)
    if (wanted === undefined && text !== 'default') {
      throw new UsageError(`RATIO is a number from 0 to 1 with up to six decimals, or off, or default, not "${text}".`)
    }
    const answer = answerOf(await switchSampling(nats, wanted, LISTEN_MS))
    return {
      ...answer,
      text: `${answer.text}\n\n✔ ${wanted === undefined ? 'As configured.' : `Switched: ${said(wanted)}.`}`,
    }
  },
}

function answerOf(instances: readonly Presence[]): { readonly json: unknown; readonly text: string } {
  const rows = instances.map(({ instance, tracing }) => [instance, said(tracing)])
  return {
    json: { instances: instances.map(({ instance, tracing }) => ({ instance, tracing })) },
    text: table(['INSTANCE', 'TRACES'], rows, 'No instance answers.'),
  }
}

function said(tracing: Sampling | null): string {
  if (tracing === null) return 'nothing: no endpoint for spans is configured'
  if (tracing === 'off') return 'nothing'
  return `${Number((tracing * 100).toFixed(4))} % of the requests, and what fails or is slow`
}
