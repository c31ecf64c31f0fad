import type { TSchema } from 'typebox'
import { codesAsMarkdown } from './codes.ts'
import { plainSchema } from './openapi.ts'
import { CLIENT_MESSAGES, SERVER_MESSAGES } from './schemas/stream.ts'

/** The AsyncAPI 3 document of the stream, from the very schemas that validate. */
export function asyncapiOf(path: string): object {
  const schemas: Record<string, object> = {}
  const messages: Record<string, object> = {}
  const add = (prefix: string, name: string, schema: TSchema): string => {
    const key = `${prefix}-${name.replaceAll('.', '-')}`
    const { description } = schema as { readonly description?: string }
    messages[key] = {
      name,
      summary: description,
      contentType: 'application/json',
      payload: plainSchema(schema, schemas),
    }
    return key
  }
  const sent = Object.entries(CLIENT_MESSAGES).map(([op, schema]) => add('send', op, schema))
  const told = Object.entries(SERVER_MESSAGES).map(([type, schema]) => add('receive', type, schema))
  const inChannel = (key: string) => ({ $ref: `#/channels/stream/messages/${key}` })
  return {
    asyncapi: '3.0.0',
    info: { title: 'Exchange stream', version: '3', description: DESCRIPTION },
    defaultContentType: 'application/json',
    channels: {
      stream: {
        address: path,
        description: 'One WebSocket for everything; each message is one JSON object as text.',
        messages: Object.fromEntries([...sent, ...told].map((key) => [key, { $ref: `#/components/messages/${key}` }])),
      },
    },
    operations: {
      send: { action: 'send', channel: { $ref: '#/channels/stream' }, messages: sent.map(inChannel) },
      receive: { action: 'receive', channel: { $ref: '#/channels/stream' }, messages: told.map(inChannel) },
    },
    components: { schemas, messages },
  }
}

const DESCRIPTION = [
  'Every message to the server has an `op` and may have an `id`, which its answer (`result` or `error`) repeats. Every message from the server has a `type`.',
  '',
  "**Order books.** `orderbook.snapshot` first, then `orderbook.change`: put each level where it belongs (amount 0 takes it away), keep no more levels of each side than the depth, compare the checksum. `first` of a change is one more than `last` of the one before, or than the snapshot's `sequence`. If you take messages more slowly than they come, several changes become one, or you get a new snapshot: forget what you had.",
  '',
  '**Private channels.** They begin with `position`. Keep the `position` of the last message of each channel: subscribe with it after a reconnect, and you get what you missed, up to five minutes. `reload` says that it was longer: read orders, fills and balances again over HTTP, and pass over messages that are older (`sequence` of orders). If `previous` of a message is beyond your last position you have missed something.',
  '',
  '**The end.** `closing` says why, and is followed by a close frame with the same code as its reason: 1001 `server_shutdown`; 1008 a token that is over or revoked, a member that is blocked, too many messages, no answer to pings; 1013 `slow_consumer`. A message that is too large ends the connection with 1009.',
  '',
  '<details><summary>All codes</summary>',
  '',
  codesAsMarkdown(),
  '',
  '</details>',
].join('\n')
