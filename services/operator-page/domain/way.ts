import type { Frame, Position } from '#mesh/frames.ts'
import type { AccountEvent } from '#mesh/protocol/accounts.ts'
import { isOpen, type OrderState } from '#mesh/protocol/common.ts'

/** One thing that happened to an order. */
export interface Step {
  /** Microseconds since 1970, by the clock of the nats-server; the first one by the gateway's. */
  readonly atUs: number
  readonly kind: 'taken' | 'command' | 'reserved' | 'market' | 'matched' | 'outcome' | 'booked' | 'refused'
  readonly words: string
  /** Where it lies, if it lies somewhere. */
  readonly stream: string | null
  readonly subject: string | null
  readonly sequence: number | null
  /** In the member's account slot. */
  readonly position: string | null
}

/** An event of the order, and where its frame lies. */
export interface OrderEvent {
  readonly event: AccountEvent
  readonly position: Position
  readonly frameSubject: string
  readonly frameSequence: number
  readonly frameTimeUs: number
}

/** The events of one order in a frame. */
export function eventsOf(
  frame: Frame<AccountEvent>,
  orderId: number,
  place: { readonly subject: string; readonly sequence: number; readonly timeUs: number },
): OrderEvent[] {
  return frame.events.flatMap(({ position, ...event }) =>
    orderIdOf(event) === orderId
      ? [
          {
            event,
            position,
            frameSubject: place.subject,
            frameSequence: place.sequence,
            frameTimeUs: place.timeUs,
          },
        ]
      : [],
  )
}

export function orderIdOf(event: AccountEvent): number | undefined {
  if ('order' in event) return event.order.orderId
  return 'orderId' in event ? event.orderId : undefined
}

export const orderOf = (event: AccountEvent): OrderState | undefined => ('order' in event ? event.order : undefined)

export function memberOf(event: AccountEvent): number {
  return 'order' in event ? event.order.memberId : event.memberId
}

/** Nothing comes after it. */
export const isLast = (event: AccountEvent): boolean =>
  event.type === 'OrderVoided' || ('order' in event && !isOpen(event.order.status))

export const positionText = ([sequence, item, event]: Position): string => `${sequence}-${item}-${event}`

export function stepOf({ event, position, frameSubject, frameSequence, frameTimeUs }: OrderEvent): Step {
  return {
    ...wordsOf(event),
    atUs: frameTimeUs,
    stream: 'EVENTS',
    subject: frameSubject,
    sequence: frameSequence,
    position: positionText(position),
  }
}

const CAUSES = {
  placed: 'the market took it',
  matched: 'another order met it',
  cancelled: 'it was cancelled',
  amended: 'it was amended',
} as const

const COMMANDS = { placed: 'order', cancelled: 'cancel', amended: 'amendment' } as const

function wordsOf(event: AccountEvent): Pick<Step, 'kind' | 'words'> {
  switch (event.type) {
    case 'OrderPlaced':
      return { kind: 'reserved', words: 'Funds are held, and the order is on its way to the market' }
    case 'OrderRejected':
      return { kind: 'refused', words: `Refused by the account: ${event.order.reason ?? 'no reason'}` }
    case 'OrderChanged': {
      const fills = event.fills.length
      const traded = fills === 0 ? '' : `, ${fills} ${fills === 1 ? 'fill' : 'fills'}`
      const reason = event.order.reason === undefined ? '' : ` (${event.order.reason})`
      return {
        kind: 'booked',
        words: `Booked: ${CAUSES[event.cause]}${traded}; it is ${event.order.status.replace('_', ' ')}${reason}`,
      }
    }
    case 'OrderAmendForwarded':
      return { kind: 'reserved', words: 'An amendment is on its way to the market' }
    case 'OrderCommandRefused':
      return { kind: 'refused', words: `The ${COMMANDS[event.cause]} was refused: ${event.code}` }
    case 'OrderVoided':
      return { kind: 'refused', words: 'Voided: the order was not accepted, and never will be' }
    case 'RequestAnswered':
      return {
        kind: event.code === undefined ? 'booked' : 'refused',
        words: `The ${COMMANDS[event.cause]} of ${event.origin} was answered: ${event.code ?? 'a repeat'}`,
      }
    default:
      return { kind: 'booked', words: event.type }
  }
}
