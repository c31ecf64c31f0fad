import type { Kafka, KafkaMessage, TopicMessages } from 'kafkajs'
import type { Result, Taken } from '#mesh/ingest/source.ts'
import { accountSlotOf } from '#mesh/slots.ts'
import { Topic } from './topics.ts'

export interface KeptMessage {
  readonly taken: Taken
  readonly message: KafkaMessage
}

/** What has no place in the mesh's log goes straight to Kafka: answers to what breaks a rule of its market, and dead letters. */
export interface Outlet {
  /** Resolves when the broker has confirmed all of it. The same comes again after a failure. */
  keep(messages: readonly KeptMessage[], from: { readonly topicId: string; readonly partition: number }): Promise<void>
  close(): Promise<void>
}

type Told = Pick<Result, 'outcome'>

/**
 * The producer is a plain one: one that counts its requests (`idempotent`) and gives up on one would take the next for the
 * same, and the broker would drop it.
 */
export async function openOutlet(
  kafka: Kafka,
  accountSlots: number,
  countResults: (told: readonly Told[]) => void,
): Promise<Outlet> {
  const producer = kafka.producer({ allowAutoTopicCreation: false })
  await producer.connect()
  return {
    keep: async (messages, from) => {
      const refused: Result[] = []
      const dead: TopicMessages['messages'] = []
      for (const { taken, message } of messages) {
        if (taken.is === 'rejected') refused.push(taken.result)
        if (taken.is === 'dead') dead.push(deadLetter(message, taken, from))
      }
      const answers = refused.map(({ memberId, body }) => ({
        key: String(memberId),
        value: body,
        partition: accountSlotOf(memberId, accountSlots),
      }))
      const topicMessages = [
        { topic: Topic.results, messages: answers },
        { topic: Topic.deadLetters, messages: dead },
      ].filter((one) => one.messages.length > 0)
      if (topicMessages.length === 0) return
      await producer.sendBatch({ acks: -1, topicMessages })
      countResults(refused)
    },
    close: () => producer.disconnect(),
  }
}

/** The message as it was, its key and headers too but for the token, and why it is here. */
function deadLetter(
  { key, value, headers, offset }: KafkaMessage,
  { code, field }: Extract<Taken, { is: 'dead' }>,
  { topicId, partition }: { readonly topicId: string; readonly partition: number },
): TopicMessages['messages'][number] {
  const { authorization: _, ...others } = headers ?? {}
  const reason = {
    'dead-letter-code': code,
    ...(field === undefined ? {} : { 'dead-letter-field': field }),
    'dead-letter-source': `${topicId}.${partition}.${offset}`,
  }
  return { key, value, headers: { ...others, ...reason } }
}
