import type { TSchema } from 'typebox'
import { CODES, type Code, codesAsMarkdown } from './codes.ts'
import type { Endpoint } from './http/endpoint.ts'
import { ProblemSchema } from './schemas/common.ts'

/** Codes that go with an access or a kind, whatever the endpoint. */
const CODES_OF_ACCESS: Record<Endpoint['access'], readonly Code[]> = {
  public: [],
  read: ['scope_missing'],
  trade: ['scope_missing'],
  account: ['scope_missing'],
  admin: ['admin_required'],
}
const TOKEN_CODES: readonly Code[] = [
  'token_missing',
  'token_malformed',
  'token_invalid',
  'token_expired',
  'token_revoked',
  'member_blocked',
  'member_closed',
  'member_denied',
  'member_not_listed',
  'auth_not_ready',
]
const BODY_CODES: readonly Code[] = [
  'json_invalid',
  'body_not_object',
  'body_too_deep',
  'body_too_large',
  'unsupported_media_type',
]
const SHAPE_CODES: readonly Code[] = ['unknown_field', 'wrong_type', 'invalid_value']
const LOAD_CODES: readonly Code[] = ['rate_limited', 'gateway_busy']

export function codesOf(endpoint: Endpoint): Code[] {
  return [
    ...new Set<Code>([
      ...(endpoint.body === undefined ? [] : BODY_CODES),
      ...SHAPE_CODES,
      ...endpoint.codes,
      ...(endpoint.access === 'public' ? [] : TOKEN_CODES),
      ...CODES_OF_ACCESS[endpoint.access],
      ...LOAD_CODES,
      ...(endpoint.kind === 'order' ? (['too_many_requests', 'disk_full'] as const) : []),
      'internal_error',
    ]),
  ]
}

/** The OpenAPI 3.1 document of what the server runs, from the very schemas that validate. */
export function openapiOf(endpoints: readonly Endpoint[], prefix: string): object {
  const schemas: Record<string, object> = {}
  const paths: Record<string, Record<string, object>> = {}
  for (const endpoint of endpoints) {
    const path = prefix + endpoint.path
    paths[path] ??= {}
    paths[path][endpoint.method.toLowerCase()] = operationOf(endpoint, schemas)
  }
  plainSchema(ProblemSchema, schemas)
  return {
    openapi: '3.1.0',
    info: {
      title: 'Exchange',
      version: '3',
      description: [
        'Decimals and ids are strings; times are ISO 8601 with microseconds where they are known.',
        'Unknown fields are refused. A refusal has a stable `code`, a `message` for people, and the `field` that it is about.',
        'Every answer has an `X-Request-Id`: yours if you sent one of up to 64 letters, digits and `._:-`.',
        'Where the exchange traces, every answer has a `Trace-Id` as well; `traceparent` is continued.',
        "A broker's token acts for a member that it lists with the header `X-Member-Id`.",
        '',
        '<details><summary>All codes</summary>',
        '',
        codesAsMarkdown(),
        '',
        '</details>',
      ].join('\n'),
    },
    servers: [{ url: '/' }],
    tags: [...new Set(endpoints.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas,
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  }
}

function operationOf(endpoint: Endpoint, schemas: Record<string, object>): object {
  const { access, body, query, tag, summary } = endpoint
  const pathNames = [...endpoint.path.matchAll(/\{([a-zA-Z]+)\}/g)].map((match) => match[1])
  const required: readonly string[] = query?.required ?? []
  return {
    tags: [tag],
    summary,
    operationId: `${endpoint.method.toLowerCase()}${endpoint.path.replace(/[^a-zA-Z]+(.)?/g, (_, next: string = '') => next.toUpperCase())}`,
    description: [endpoint.description, access === 'public' ? undefined : `Needs ${ACCESS_WORDS[access]}.`]
      .filter(Boolean)
      .join('\n\n'),
    ...(access === 'public' ? {} : { security: [{ token: [] }] }),
    parameters: [
      ...pathNames.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
      ...Object.entries(query?.properties ?? {}).map(([name, schema]) => ({
        name,
        in: 'query',
        required: required.includes(name),
        schema: plainSchema(schema, schemas),
      })),
      ...(access === 'read' || access === 'trade' ? [MEMBER_HEADER] : []),
    ],
    ...(body === undefined
      ? {}
      : { requestBody: { required: true, content: { 'application/json': bodyOf(body, schemas) } } }),
    responses: responsesOf(endpoint, schemas),
  }
}

/** With an example of its own where the fields' examples together would make no sense. */
function bodyOf(body: TSchema, schemas: Record<string, object>): object {
  const schema = plainSchema(body, schemas)
  return 'examples' in schema && Array.isArray(schema.examples) ? { schema, example: schema.examples[0] } : { schema }
}

const ACCESS_WORDS = {
  read: 'a token with the scope `read`',
  trade: 'a token with the scope `trade`',
  account: 'the token of a login',
  admin: 'the token of a login of an admin',
} as const

const MEMBER_HEADER = {
  name: 'X-Member-Id',
  in: 'header',
  required: false,
  description: "The member for whom a broker's token acts.",
  schema: { type: 'string' },
}

function responsesOf(endpoint: Endpoint, schemas: Record<string, object>): Record<string, object> {
  const responses: Record<string, object> = {}
  for (const [status, schema] of Object.entries(endpoint.answers)) {
    responses[status] = {
      description: 'Done.',
      content: { 'application/json': { schema: plainSchema(schema, schemas) } },
    }
  }
  const byStatus = Map.groupBy(codesOf(endpoint), (code) => CODES[code].status)
  for (const [status, codes] of [...byStatus].sort(([a], [b]) => a - b)) {
    responses[status] = {
      description: codes.map((code) => `\`${code}\``).join(', '),
      content: { 'application/json': { schema: { $ref: '#/components/schemas/Problem' } } },
    }
  }
  return responses
}

/** A schema that has an id is named in the components once and referred to. */
export function plainSchema(schema: TSchema, schemas: Record<string, object>): object {
  const plain = JSON.parse(JSON.stringify(schema), (_, value) => {
    if (typeof value !== 'object' || value === null || typeof value.$id !== 'string') return value
    const { $id, ...rest } = value
    schemas[$id] = rest
    return { $ref: `#/components/schemas/${$id}` }
  })
  return plain
}
