import type { AlertsTestReply } from '#mesh/protocol/alerts.ts'
import { callRpc } from '#mesh/rpc.ts'
import { Rpc } from '#mesh/subjects.ts'
import type { Command } from '../command.ts'

const ANSWER_MS_MAX = 30_000

export const alertCommands: readonly Command[] = [
  {
    name: 'alerts test',
    arguments: [],
    options: {},
    summary: 'Send a test alert the whole way: through Redis to e-mail and webhook.',
    help: `It answers when it was delivered, with where to. The service alerts has to run, with SMTP_URL and ALERT_MAIL_TO or
ALERT_WEBHOOK_URL.`,
    example: 'alerts test',
    run: async (connections) => {
      const reply = await callRpc<AlertsTestReply>(await connections.bus(), Rpc.alertsTest, {}, ANSWER_MS_MAX)
      return { json: reply, text: `✔ A test alert was delivered to ${reply.deliveredTo.join(' and ')}.` }
    },
  },
]
