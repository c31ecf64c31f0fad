import type { Static, TObject } from 'typebox'
import { Compile } from 'typebox/compile'
import type { Code } from '../codes.ts'
import { Problem } from '../problem.ts'

/** A schema, compiled once at boot. */
export interface Checker<Schema extends TObject> {
  accepts(value: unknown): value is Static<Schema>
  /** What is wrong with a value that is not accepted. */
  problem(value: unknown): Problem
}

export function checkerOf<Schema extends TObject>(schema: Schema): Checker<Schema> {
  const validator = Compile(schema)
  return {
    accepts: (value): value is Static<Schema> => validator.Check(value),
    problem: (value) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Problem('body_not_object')
      const faults = validator.Errors(value).map((error) => faultOf(error, value))
      // An unknown name is told first: most often it is a misspelt one, and then another would be missing.
      const first = faults.find(({ code }) => code === 'unknown_field') ?? faults.find(({ code }) => code !== undefined)
      return new Problem(first?.code ?? 'invalid_value', first?.field === undefined ? {} : { field: first.field })
    },
  }
}

interface Fault {
  readonly code: Code | undefined
  readonly field?: string
}

function faultOf(error: ReturnType<ReturnType<typeof Compile>['Errors']>[number], whole: object): Fault {
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
      return { code: undefined }
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

/** Deepest nesting of brackets and braces outside strings. Asked only of bodies that were not accepted. */
export function nestingOf(json: string): number {
  let depth = 0
  let deepest = 0
  let inString = false
  for (let index = 0; index < json.length; index++) {
    const char = json[index]
    if (inString) {
      if (char === '\\') index++
      else if (char === '"') inString = false
    } else if (char === '"') inString = true
    else if (char === '{' || char === '[') deepest = Math.max(deepest, ++depth)
    else if (char === '}' || char === ']') depth--
  }
  return deepest
}
