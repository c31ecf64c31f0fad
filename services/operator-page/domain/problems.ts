import { namedRanges } from './ranges.ts'
import type { State } from './state.ts'

/** What an operator has to know first, and where on the page more of it is. */
export interface Problem {
  readonly severity: 'bad' | 'warn'
  readonly about: 'instances' | 'slots' | 'projections' | 'streams' | 'servers' | 'money' | 'alarms'
  readonly words: string
}

/** MySQL this far behind is late for members who ask for their history. */
const LAG_MS_MAX = 5_000
const READER_PENDING_MAX = 10_000
const RECENT_ALARM_MS = 15 * 60_000

/** The worst first. `nowMs`: since 1970. */
export function problemsOf(state: Omit<State, 'problems'>, nowMs: number): Problem[] {
  const { instances, slots, projections, consumers, servers, books, alarms } = state
  const found: Problem[] = []
  const bad = (about: Problem['about'], words: string) => found.push({ severity: 'bad', about, words })
  const warn = (about: Problem['about'], words: string) => found.push({ severity: 'warn', about, words })

  for (const { service, slot, halted } of slots) {
    if (halted !== null) bad('slots', `${service} ${slot} is halted: ${halted.code}`)
  }
  const ownerless = slots
    .filter((slot) => slot.state === 'ownerless')
    .map(({ service, slot }) => ({ name: service, slot }))
  for (const where of namedRanges(ownerless)) bad('slots', `Nobody runs ${where}`)
  for (const { asset, differsIn } of books) {
    for (const slot of differsIn) bad('money', `The books of accounts ${slot} do not sum to zero in ${asset}`)
  }
  for (const { name, state: is, words } of servers) if (is === 'down') bad('servers', `${name} is down: ${words}`)
  for (const { instance, state: is, waitsFor, service } of instances) {
    const hasOther = instances.some((other) => other.service === service && other.state === 'ready')
    if (is === 'waiting') (hasOther ? warn : bad)('instances', `${instance} waits for ${waitsFor.join(', ')}`)
    if (is === 'gone' && !hasOther) bad('instances', `${instance} is gone, and no other ${service} is ready`)
  }
  const unwritten = projections.filter(({ error }) => error !== '')
  for (const [error, own] of Map.groupBy(unwritten, (projection) => projection.error)) {
    for (const where of namedRanges(own)) bad('projections', `Nothing is written to ${where}: ${error}`)
  }
  const late = projections.filter(({ error, lagMs }) => error === '' && lagMs > LAG_MS_MAX)
  for (const [name, own] of Map.groupBy(late, (projection) => projection.name)) {
    const lagMs = Math.max(...own.map((projection) => projection.lagMs))
    warn('projections', `${name} is ${Math.round(lagMs / 1_000)} s behind`)
  }
  for (const { stream, subject, pending } of consumers) {
    if (pending > READER_PENDING_MAX)
      warn('streams', `A reader of ${stream} ${subject} has ${pending} messages to read`)
  }
  const recent = alarms.filter(({ at }) => nowMs - Number(at) < RECENT_ALARM_MS)
  if (recent.length > 0)
    warn('alarms', `${recent.length} ${recent.length === 1 ? 'alarm' : 'alarms'} in the last 15 minutes`)
  return found.sort((a, b) => (a.severity === b.severity ? 0 : a.severity === 'bad' ? -1 : 1))
}
