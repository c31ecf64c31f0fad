import type { Static, TObject } from 'typebox'
import { shapeOf } from '#mesh/edge/shape.ts'
import { Problem } from '../problem.ts'

/** A schema, compiled once at boot. */
export interface Checker<Schema extends TObject> {
  accepts(value: unknown): value is Static<Schema>
  /** What is wrong with a value that is not accepted. */
  problem(value: unknown): Problem
}

export function checkerOf<Schema extends TObject>(schema: Schema): Checker<Schema> {
  const shape = shapeOf(schema)
  return {
    accepts: shape.accepts,
    problem: (value) => {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return new Problem('body_not_object')
      const { code, field } = shape.fault(value)
      return new Problem(code, field === undefined ? {} : { field })
    },
  }
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
