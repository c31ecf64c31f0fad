import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'
import { RpcError } from './rpc.ts'

/**
 * A parser made from a schema, once, at start.
 * The parser throws RpcError `request_invalid` with the field in `details.field` (empty for the whole).
 */
export function checked<Schema extends TSchema>(schema: Schema): (value: unknown) => Static<Schema> {
  const validator = Compile(schema)
  return (value) => {
    if (validator.Check(value)) return value as Static<Schema>
    const first = validator.Errors(value)[0]
    const field = (first?.instancePath ?? '').slice(1).replaceAll('/', '.')
    const what = first?.keyword === 'boolean' ? 'is not a known field' : (first?.message ?? 'is not valid')
    throw new RpcError('request_invalid', `${field || 'The request'} ${what}.`, { field })
  }
}
