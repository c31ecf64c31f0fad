import type { Static, TObject, TSchema } from 'typebox'
import type { ActiveTrace } from '#mesh/telemetry/telemetry.ts'
import type { Code } from '../codes.ts'
import type { Identity } from '../members/identity.ts'

/**
 * Who may call. `public`: anyone. `read`, `trade`: a token with that scope. `account`: the token of a login.
 * `admin`: the token of a login, of an admin.
 */
export type Access = 'public' | 'read' | 'trade' | 'account' | 'admin'

/** What it counts as when there is too much: each kind has its limits. */
export type Kind = 'order' | 'cancel' | 'read' | 'public' | 'login' | 'admin'

export interface Call<Body, Query> {
  readonly requestId: string
  /** Who calls; of a public endpoint: nobody. */
  readonly identity: Identity
  /** For whom: the caller, or who a broker's token acts for. 0 on a public endpoint. */
  readonly memberId: number
  readonly slot: number
  readonly params: Readonly<Record<string, string>>
  readonly query: Query
  readonly body: Body
  /** The client's. */
  readonly address: string
  /** Where tracing is on. What a call sends to a log goes with it. */
  readonly trace?: ActiveTrace | undefined
}

export interface Answer {
  readonly status: number
  readonly json: string
  /** Of a refusal. */
  readonly code?: Code
  /** Names and values in turn. */
  readonly headers?: readonly string[]
}

export const ok = (json: string): Answer => ({ status: 200, json })
export const created = (json: string): Answer => ({ status: 201, json })

type BodyOf<Schema> = Schema extends TSchema ? Static<Schema> : undefined
type QueryOf<Schema> = Schema extends TSchema ? Static<Schema> : Readonly<Record<string, never>>

interface Words {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE'
  /** Under `/api/v3`. */
  readonly path: `/${string}`
  readonly access: Access
  readonly kind: Kind
  readonly tag: string
  readonly summary: string
  readonly description?: string
  readonly answers: Readonly<Record<number, TSchema>>
  /** Codes of its own; those that every endpoint of its access and kind has are added. */
  readonly codes: readonly Code[]
}

export interface EndpointOf<Body extends TObject | undefined, Query extends TObject | undefined> extends Words {
  readonly body?: Body
  /** The largest body, in bytes. Default 64 kB. */
  readonly bytesMax?: number
  readonly query?: Query
  readonly handle: (call: Call<BodyOf<Body>, QueryOf<Query>>) => Answer | Promise<Answer>
}

/** What the server runs and the document describes. */
export interface Endpoint extends Words {
  readonly body: TObject | undefined
  readonly bytesMax: number
  readonly query: TObject | undefined
  readonly handle: (call: Call<unknown, unknown>) => Answer | Promise<Answer>
}

export const BODY_BYTES_MAX = 64 * 1024

export function endpoint<Body extends TObject | undefined = undefined, Query extends TObject | undefined = undefined>(
  words: EndpointOf<Body, Query>,
): Endpoint {
  return {
    ...words,
    body: words.body,
    query: words.query,
    bytesMax: words.bytesMax ?? BODY_BYTES_MAX,
    // The server calls it only with what the two schemas have accepted.
    handle: words.handle as Endpoint['handle'],
  }
}

/** The endpoint that answers this, for whoever else asks for the same. */
export function endpointAt(
  endpoints: readonly Endpoint[],
  method: Endpoint['method'],
  path: Endpoint['path'],
): Endpoint {
  const found = endpoints.find((one) => one.method === method && one.path === path)
  if (found === undefined) throw new Error(`There is no endpoint ${method} ${path}.`)
  return found
}
