import type { Static, TSchema } from 'typebox'
import { Compile } from 'typebox/compile'

/** What can be wrong with the shape of something that people write. Public and stable. */
export type ShapeCode = 'unknown_field' | 'missing_field' | 'wrong_type' | 'invalid_value'

export interface ShapeFault {
  readonly code: ShapeCode
  readonly field?: string
}

/** A schema, compiled once at boot. */
export interface Shape<Schema extends TSchema> {
  accepts(value: unknown): value is Static<Schema>
  /** What is wrong with an object that is not accepted. */
  fault(value: object): ShapeFault
}

export function shapeOf<Schema extends TSchema>(schema: Schema): Shape<Schema> {
  const validator = Compile(schema)
  return {
    accepts: (value): value is Static<Schema> => validator.Check(value),
    fault: (value) => {
      const faults = validator.Errors(value).flatMap((error) => faultOf(error, value) ?? [])
      // An unknown name is told first: most often it is a misspelt one, and then another would be missing.
      return faults.find(({ code }) => code === 'unknown_field') ?? faults[0] ?? { code: 'invalid_value' }
    },
  }
}

function faultOf(
  error: ReturnType<ReturnType<typeof Compile>['Errors']>[number],
  whole: object,
): ShapeFault | undefined {
  const path = error.instancePath.slice(1).replaceAll('/', '.')
  const below = (name: string | undefined) => [path, name].filter((part) => part !== '' && part !== undefined).join('.')
  switch (error.keyword) {
    case 'additionalProperties':
      return { code: 'unknown_field', field: below(error.params.additionalProperties[0]) }
    case 'required':
      return { code: 'missing_field', field: below(error.params.requiredProperties[0]) }
    case 'type':
      return { code: 'wrong_type', field: path }
    case 'boolean':
      // Goes with `additionalProperties`, which has the name.
      return undefined
    case 'enum':
      return {
        code: typeof valueAt(whole, error.instancePath) === 'string' ? 'invalid_value' : 'wrong_type',
        field: path,
      }
    default:
      return { code: 'invalid_value', field: path }
  }
}

/** Enums here are of strings; the field's names have no characters that a JSON pointer escapes. */
function valueAt(whole: object, pointer: string): unknown {
  let value: unknown = whole
  for (const key of pointer.split('/').slice(1)) {
    value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined
  }
  return value
}
