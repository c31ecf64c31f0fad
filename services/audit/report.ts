import { availableParallelism } from 'node:os'
import type { AuditResult } from './audit-mesh.ts'

/** For people: what was looked at, and what was found. */
export function reportLines({ difference, logs, assets, rows, ...rest }: AuditResult): string[] {
  const facts: [string, string][] = [
    ['slots', `${rest.accountSlots} account, ${rest.marketSlots} engine, 1 definitions`],
    ['items replayed', count(logs.items)],
    ['frames, each border with the stored hash', count(logs.frames)],
    ['events, each line as stored', count(logs.events)],
    ['commands of the edge, each covered once', `${count(logs.commands)} (${count(logs.passedOver)} ill-formed)`],
    ['order commands with their one outcome', count(logs.outcomes)],
    ['items between slots, dense and as sent', `${count(logs.pairItems)} (${count(logs.underWay)} under way)`],
  ]
  for (const [table, found] of Object.entries(rows ?? {})) facts.push([`rows of ${table} in MySQL`, count(found)])
  for (const { asset, depositedMinor, membersMinor, feesMinor, underWayMinor } of assets) {
    facts.push([
      `${asset}, minor units`,
      `deposited ${depositedMinor} = members ${membersMinor} + fees ${feesMinor} + under way ${underWayMinor}`,
    ])
  }
  facts.push(['seconds', rest.seconds.toFixed(1)])
  const width = Math.max(...facts.map(([name]) => name.length))
  const lines = facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`)
  if (difference === undefined) return [...lines, '', '✔ All of it agrees.']
  const place = [difference.slot, difference.position].filter((part) => part !== '').join(' at ')
  return [
    ...lines,
    '',
    `✖ The first difference: ${difference.check}${place && `, ${place}`}`,
    `  ${difference.message}`,
  ]
}

/** For programs: one line. */
export function resultLine(result: AuditResult, settings: { readonly rate: number; readonly mysql: boolean }): string {
  const { difference, logs, assets, rows, accountSlots, marketSlots, seconds } = result
  return JSON.stringify({
    audit: difference === undefined ? 'ok' : 'failed',
    cores: availableParallelism(),
    settings: { ...settings, accountSlots, marketSlots },
    result: {
      ...logs,
      rows: rows ?? {},
      assets: Object.fromEntries(
        assets.map(({ asset, depositedMinor, membersMinor, feesMinor, underWayMinor }) => [
          asset,
          {
            depositedMinor: depositedMinor.toString(),
            membersMinor: membersMinor.toString(),
            feesMinor: feesMinor.toString(),
            underWayMinor: underWayMinor.toString(),
          },
        ]),
      ),
      seconds: Math.round(seconds * 10) / 10,
      itemsPerSecond: Math.round(logs.items / seconds),
      rssMb: Math.round(process.memoryUsage.rss() / 1024 ** 2),
      ...(difference === undefined
        ? {}
        : {
            difference: {
              check: difference.check,
              slot: difference.slot,
              position: difference.position,
              message: difference.message,
            },
          }),
    },
  })
}

const count = (value: number): string => value.toLocaleString('en-US').replaceAll(',', ' ')
