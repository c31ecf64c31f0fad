import type { Rules } from '#mesh/machine/rules.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import { Log, sourceName } from '#mesh/subjects.ts'
import { Difference } from './difference.ts'

/** What the rules said while one item was applied. */
export interface Said {
  readonly sent: { readonly target: string; readonly item: Fields }[]
  readonly replies: Reply[]
}

/** Messages are read as they are; what is not there is not compared. */
export interface Fields {
  readonly type?: unknown
  readonly cause?: unknown
  readonly commandId?: unknown
  readonly orderId?: unknown
}

/** The same rules, and somebody who looks on. */
export function watched<State, Item, Event>(
  rules: Rules<State, Item, Event>,
  onSend: (target: string) => void,
  onApplied: (item: Item, source: string, said: Said) => void,
): Rules<State, Item, Event> {
  return {
    ...rules,
    apply: (state, item, context) => {
      const said: Said = { sent: [], replies: [] }
      const { slot, timeUs, source } = context
      rules.apply(state, item, {
        slot,
        timeUs,
        source,
        emit: (event) => context.emit(event),
        send: (log, target, message) => {
          const ticket = context.send(log, target, message)
          const name = sourceName(log, target)
          said.sent.push({ target: name, item: message })
          onSend(name)
          return ticket
        },
        reply: (_replyTo, reply) => void said.replies.push(reply),
      })
      onApplied(item, source, said)
    },
  }
}

/** Proves that every command is answered once. */
export interface Answers {
  /** @param position where the item stands in its slot's log */
  applied(item: Fields, source: string, said: Said, position: string): void
  /** Commands of the edge, and those of them that the rules passed over because they are ill-formed. */
  readonly commands: number
  readonly passedOver: number
  /** Commands passed on to a market whose outcome is not booked yet, and outcomes that are. */
  readonly waiting: number
  readonly outcomes: number
}

const CAUSE_OF: Readonly<Record<string, string>> = {
  EnterOrder: 'placed',
  CancelEntered: 'cancelled',
  AmendEntered: 'amended',
}

/**
 * An account slot: a command of the edge is answered there, or it is passed on, once. What was passed on to a market comes
 * back as one outcome.
 */
export class AccountAnswers implements Answers {
  commands = 0
  passedOver = 0
  outcomes = 0
  readonly #slot: string
  readonly #waiting = new Map<string, number>()

  constructor(slot: string) {
    this.#slot = slot
  }

  get waiting(): number {
    let sum = 0
    for (const count of this.#waiting.values()) sum += count
    return sum
  }

  applied(item: Fields, source: string, said: Said, position: string): void {
    if (source === 'cmd') this.#command(item, said, position)
    else if (source.startsWith(`${Log.markets}-`)) this.#outcome(item, position)
    for (const { item: sent } of said.sent) {
      const cause = CAUSE_OF[String(sent.type)]
      if (cause === undefined) continue
      const key = keyOf(cause, sent)
      this.#waiting.set(key, (this.#waiting.get(key) ?? 0) + 1)
    }
  }

  #command(item: Fields, { sent, replies }: Said, position: string): void {
    this.commands++
    const answers = sent.length + replies.length
    if (answers === 0) {
      this.passedOver++
      return
    }
    const [reply] = replies
    const expected = reply?.kind === 'cancels' ? 1 + reply.orderIds.length : 1
    if (answers === expected && replies.length <= 1) return
    throw new Difference(
      answers > expected ? 'answered_twice' : 'not_answered',
      { slot: this.#slot, position },
      `${String(item.type)} ${String(item.commandId)} has ${replies.length} answers and sends ${sent.length} items; ${expected} of both are right.`,
    )
  }

  #outcome(item: Fields, position: string): void {
    if (item.cause === 'matched') return
    const key = keyOf(String(item.cause), item)
    const count = this.#waiting.get(key) ?? 0
    if (count === 0) {
      throw new Difference(
        'outcome_unasked',
        { slot: this.#slot, position },
        `Command ${String(item.commandId)} on order ${String(item.orderId)} has an outcome (${String(item.cause)}) that nothing waits for: it is its second, or nobody sent the command.`,
      )
    }
    this.outcomes++
    if (count === 1) this.#waiting.delete(key)
    else this.#waiting.set(key, count - 1)
  }

  /** A command whose outcome is missing. */
  get first(): string | undefined {
    return this.#waiting.keys().next().value
  }
}

const keyOf = (cause: string, { commandId, orderId }: Fields): string => `${cause} ${commandId} ${orderId}`

/** An engine slot: each order command has one outcome of its own, sent to the slot it came from; all others are matched orders'. */
export class MarketAnswers implements Answers {
  commands = 0
  passedOver = 0
  outcomes = 0
  readonly waiting = 0
  readonly #slot: string

  constructor(slot: string) {
    this.#slot = slot
  }

  applied(item: Fields, source: string, { sent }: Said, position: string): void {
    const cause = CAUSE_OF[String(item.type)]
    if (cause === undefined || !source.startsWith(`${Log.accounts}-`)) return
    this.commands++
    let own = 0
    for (const { target, item: outcome } of sent) {
      if (outcome.cause === 'matched') continue
      if (target !== source || keyOf(String(outcome.cause), outcome) !== keyOf(cause, item)) own += 2
      own++
    }
    this.outcomes += own
    if (own === 1) return
    throw new Difference(
      own === 0 ? 'not_answered' : 'answered_twice',
      { slot: this.#slot, position },
      `${String(item.type)} ${String(item.commandId)} on order ${String(item.orderId)} must send one outcome to ${source}; it sends ${JSON.stringify(sent)}.`,
    )
  }
}

/** Definitions: only counted, as one answer may wait for another's market. */
export class DefinitionAnswers implements Answers {
  commands = 0
  readonly passedOver = 0
  readonly waiting = 0
  readonly outcomes = 0

  applied(_item: Fields, source: string): void {
    if (source === 'cmd') this.commands++
  }
}
