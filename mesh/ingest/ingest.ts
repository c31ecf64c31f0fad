import { type Bus, telemetryOf, timeOf } from '#mesh/bus.ts'
import type { CommandPublisher } from '#mesh/commands.ts'
import type { Market } from '#mesh/edge/market.ts'
import { isFault } from '#mesh/edge/new-order.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type { Origin, TimeUs } from '#mesh/protocol/common.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Log } from '#mesh/subjects.ts'
import type { ActiveTrace } from '#mesh/telemetry/telemetry.ts'
import { sleep } from '#mesh/time.ts'
import type { TokenVerifier } from '#mesh/tokens.ts'
import { commandOf, readMessage } from './messages.ts'
import { refusal } from './results.ts'
import { memberOf } from './sender.ts'
import { type Ingest, IngestStopped, type SourceMessage, type Taken } from './source.ts'

export interface IngestParts {
  readonly origin: Origin
  readonly bus: Bus
  readonly accountSlots: number
  readonly publisher: CommandPublisher
  readonly nextId: () => number | Promise<number>
  readonly nowUs: () => TimeUs
  readonly verifier: TokenVerifier
  readonly marketOf: (instrument: string) => Market | undefined
  /** Told of every message once. */
  readonly count: (taken: Taken) => void
  /** An exception of our own on a message, which becomes a dead letter for it. */
  readonly onFailure: (error: unknown) => void
}

const BREAKS: ReadonlySet<string> = new Set(['disconnect', 'staleConnection', 'reconnect'])
/** Between two tries to store a command, and two looks whether tokens can be checked, in milliseconds. */
const RETRY_MS = 100

const whyNot = (taken: Taken) => {
  const code = taken.is === 'stored' ? undefined : taken.code
  return { code, isFailed: code === 'internal_error' }
}

const STORED: Taken = { is: 'stored' }
const CAUSES = { place: 'placed', cancel: 'cancelled', amend: 'amended' } as const

export function createIngest(parts: IngestParts): Ingest {
  const { origin, bus, publisher, verifier } = parts
  const time = timeOf(bus)
  const telemetry = telemetryOf(bus)
  let stopped = false
  /** Commands that are sent and not known to be stored. */
  let openCount = 0
  /** While one of those may be lost, nothing later is sent: it would overtake the repeat. */
  let inDoubt = false
  let doubtEnds: () => void = () => {}
  let tail: Promise<unknown> = Promise.resolve()

  const doubt = (): void => {
    inDoubt ||= openCount > 0
  }
  const pause = (): Promise<void> => {
    if (stopped) throw new IngestStopped('The process stops.')
    return sleep(time, RETRY_MS)
  }
  const store = async (command: AccountEdgeCommand, trace: ActiveTrace | undefined): Promise<Taken> => {
    const slot = accountSlotOf(command.memberId, parts.accountSlots)
    openCount++
    try {
      for (;;) {
        try {
          await publisher.append(Log.accounts, slot, command, trace)
          return STORED
        } catch {
          // It may be stored all the same: the repeat has the same id, so that it is known for one.
          doubt()
          await pause()
        }
      }
    } finally {
      openCount--
      if (openCount === 0 && inDoubt) {
        inDoubt = false
        doubtEnds()
      }
    }
  }
  const nextId = (): number | Promise<number> => {
    const id = parts.nextId()
    return typeof id === 'number' ? id : untilThere(id)
  }
  const untilThere = async (first: Promise<number>): Promise<number> => {
    let id: number | Promise<number> = first
    for (;;) {
      try {
        return await id
      } catch {
        await pause()
        id = parts.nextId()
      }
    }
  }
  /** Sends the message's command off, or says why there is none. The promise inside is what becomes of it. */
  const enter = async (
    message: SourceMessage,
    trace: ActiveTrace | undefined,
  ): Promise<{ readonly taken: Promise<Taken> | Taken }> => {
    while (inDoubt) {
      await new Promise<void>((resolve) => {
        doubtEnds = resolve
      })
    }
    if (stopped) throw new IngestStopped('The process stops.')
    let sender = memberOf(message, verifier)
    while (sender === 'not_ready') {
      await pause()
      sender = memberOf(message, verifier)
    }
    if ('code' in sender) return { taken: { is: 'dead', ...sender } }
    const read = readMessage(message)
    if ('code' in read) return { taken: { is: 'dead', ...read } }
    const { memberId } = sender
    const id = nextId()
    const command = commandOf(read, {
      commandId: typeof id === 'number' ? id : await id,
      memberId,
      origin,
      createdAtUs: parts.nowUs(),
      marketOf: parts.marketOf,
    })
    if (isFault(command)) {
      const result = refusal({ memberId, requestId: read.requestId, cause: CAUSES[read.command] }, command)
      return { taken: { is: 'rejected', code: command.code, result } }
    }
    return { taken: store(command, trace) }
  }
  const take = async (entering: ReturnType<typeof enter>): Promise<Taken> => {
    let taken: Taken
    try {
      taken = await (await entering).taken
    } catch (error) {
      if (error instanceof IngestStopped) throw error
      // What we cannot handle must not come again and again.
      parts.onFailure(error)
      taken = { is: 'dead', code: 'internal_error' }
    }
    parts.count(taken)
    return taken
  }

  // A connection that breaks may have lost what was sent last, and what is sent until there is a new one is dropped.
  void (async () => {
    for await (const { type } of bus.status()) if (BREAKS.has(type)) doubt()
  })()

  return {
    origin,
    take: (message) => {
      const trace = telemetry?.begin(message.trace)
      const entering = tail.then(() => enter(message, trace))
      tail = entering.catch(() => {})
      const taking = take(entering)
      if (trace !== undefined) {
        trace.note('messaging.system', origin)
        taking.then(
          (taken) => trace.end({ name: `take from ${origin}`, kind: 'consumer', ...whyNot(taken) }),
          // It comes again.
          () => {},
        )
      }
      return taking
    },
    stop: () => {
      stopped = true
    },
  }
}
