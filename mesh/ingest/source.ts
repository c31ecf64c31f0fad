import type { Origin } from '#mesh/protocol/common.ts'
import type { EdgeHeaders } from '#mesh/telemetry/telemetry.ts'

/** What a message asks for. The queue says it (RabbitMQ), or the message's own field `command` (Kafka). */
export const CommandName = { place: 'place', cancel: 'cancel', amend: 'amend' } as const
export type CommandName = (typeof CommandName)[keyof typeof CommandName]

/** A message as a broker handed it over. Nothing of it is trusted. */
export interface SourceMessage {
  readonly body: Uint8Array
  /** Header `authorization`: `Bearer <token>`, of the member or of a broker who may act for him. */
  readonly authorization: string | undefined
  /** Header `x-member-id`: for whom, where the token is a broker's. */
  readonly onBehalfOf: string | undefined
  /** What names the message where its body does not: AMQP's `message_id`, Kafka's `<topic id>.<partition>.<offset>`. */
  readonly messageId: string | undefined
  /** Where the source knows it. */
  readonly command?: CommandName
  /** Headers `traceparent` and `uber-trace-id`: whose trace it belongs to. */
  readonly trace?: EdgeHeaders
}

/** What became of a message. In each case the source may let go of it once it has done what is asked here. */
export type Taken =
  /** Its command is stored; the results come through the feed. */
  | { readonly is: 'stored' }
  /** A command that breaks a rule of its market: publish this result, confirmed. */
  | { readonly is: 'rejected'; readonly code: string; readonly result: Result }
  /** No command at all: keep the message among the dead letters, with the reason. */
  | { readonly is: 'dead'; readonly code: DeadCode; readonly field?: string }

/** Why a message is no command that anybody may carry out. Public and stable. */
export type DeadCode =
  | 'message_too_large'
  | 'token_missing'
  | 'token_malformed'
  | 'token_expired'
  | 'token_invalid'
  | 'token_revoked'
  | 'member_blocked'
  | 'member_closed'
  | 'member_denied'
  | 'scope_missing'
  | 'member_not_listed'
  | 'json_invalid'
  | 'body_not_object'
  | 'version_unknown'
  | 'command_unknown'
  | 'missing_field'
  | 'unknown_field'
  | 'wrong_type'
  | 'invalid_value'
  | 'identity_missing'
  | 'identity_invalid'
  | 'internal_error'

export type Outcome = 'accepted' | 'updated' | 'closed' | 'rejected' | 'repeated'

/** What a sender is told. The same result may be published more than once, always with the same id. */
export interface Result {
  /** The same for the same result, however often it is published: `accounts-2.1741.0.1`, its position in the member's log. */
  readonly id: string
  readonly memberId: number
  readonly outcome: Outcome
  /** The clientOrderId of the order, or the sender's id of the cancel or amendment that caused it. */
  readonly requestId: string | undefined
  /** JSON; its fields are in the README. */
  readonly body: string
}

export interface Ingest {
  readonly origin: Origin
  /**
   * Takes messages in the order of the calls: call it for each without waiting in between, then wait for all. What is taken within
   * one turn of the event loop travels as one message per account slot. Resolves when the command is durable, however long that
   * takes; rejects with IngestStopped alone: then nothing is known, and the source must not let go of the message.
   */
  take(message: SourceMessage): Promise<Taken>
  /** Ends all waiting: the promises that are open reject. */
  stop(): void
}

/** The process stops before the command was known to be durable: the broker is to deliver the message again. */
export class IngestStopped extends Error {
  override readonly name = 'IngestStopped'
  readonly code = 'ingest_stopped'
}
