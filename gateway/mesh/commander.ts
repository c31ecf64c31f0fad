import type { CommandPublisher } from '#mesh/commands.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import type { DefinitionCommand } from '#mesh/protocol/definitions.ts'
import type { Reply } from '#mesh/protocol/replies.ts'
import type { ReplyListener } from '#mesh/replies.ts'
import type { Log } from '#mesh/subjects.ts'
import { EdgeTrace } from '#mesh/telemetry/edge-trace.ts'
import type { ActiveTrace, Telemetry } from '#mesh/telemetry/telemetry.ts'

/** Appends commands and waits for what the machines say. */
export interface Commander {
  /**
   * The first reply to a command. Rejects with RpcError `publish_unknown` or `reply_timeout`: both leave it open whether the
   * command is stored or will be. With `publish_refused` it is not.
   */
  ask(log: Log, slot: number, command: AccountEdgeCommand | DefinitionCommand, trace?: ActiveTrace): Promise<Reply>
}

export function createCommander(
  publisher: CommandPublisher,
  replies: ReplyListener,
  resultMsMax: number,
  telemetry?: Telemetry,
): Commander {
  return {
    ask: (log, slot, command, trace = telemetry?.active()) =>
      new Promise((resolve, reject) => {
        const take = (reply: Reply): void => {
          if (trace instanceof EdgeTrace) trace.replied(reply)
          resolve(reply)
        }
        replies.expect(command.commandId, resultMsMax).then(take, reject)
        // A result that comes all the same is passed over then; the caller finds out what became of it.
        publisher.append(log, slot, command, trace).catch(reject)
      }),
  }
}
