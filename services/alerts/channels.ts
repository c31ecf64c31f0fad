import { createTransport } from 'nodemailer'
import type { Alarm } from '#mesh/protocol/alerts.ts'
import type { AlertsConfig, MailConfig } from './config.ts'
import type { Words } from './domain/words.ts'

/** A way to tell people. */
export interface Channel {
  /** For people: `e-mail to ops@example.com`. No secrets. */
  readonly name: string
  /** @throws Error when it was not taken. */
  tell(alarm: Alarm, held: number, words: Words): Promise<void>
}

const ANSWER_MS_MAX = 10_000

export function channelsOf({ mail, webhookUrl }: AlertsConfig): Channel[] {
  return [
    ...(mail === undefined ? [] : [mailChannel(mail)]),
    ...(webhookUrl === undefined ? [] : [webhookChannel(webhookUrl)]),
  ]
}

function mailChannel({ smtpUrl, from, to }: MailConfig): Channel {
  const timeouts = { connectionTimeout: ANSWER_MS_MAX, greetingTimeout: ANSWER_MS_MAX, socketTimeout: ANSWER_MS_MAX }
  const transport = createTransport({ url: smtpUrl, ...timeouts })
  return {
    name: `e-mail to ${to}`,
    tell: async (_alarm, _held, { subject, text }) => void (await transport.sendMail({ from, to, subject, text })),
  }
}

/** `text` is what chats show; the rest is for programs. */
function webhookChannel(url: string): Channel {
  return {
    name: `webhook at ${new URL(url).host}`,
    tell: async (alarm, held, { subject, text }) => {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...alarm, held, text: `${subject}\n${text}` }),
        signal: AbortSignal.timeout(ANSWER_MS_MAX),
      })
      await response.body?.cancel()
      if (!response.ok) throw new Error(`The webhook answered with ${response.status}.`)
    },
  }
}
