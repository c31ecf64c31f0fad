import assert from 'node:assert/strict'
import Type from 'typebox'
import { checkerOf, nestingOf } from './check.ts'

describe('the check of a body', () => {
  const checker = checkerOf(
    Type.Object(
      {
        name: Type.String({ pattern: '^[a-z]+$' }),
        kind: Type.Optional(Type.Enum(['a', 'b'])),
        count: Type.Optional(Type.Integer({ minimum: 1 })),
        list: Type.Optional(Type.Array(Type.String(), { maxItems: 2 })),
      },
      { additionalProperties: false },
    ),
  )
  const table: [body: unknown, outcome: string][] = [
    [{ name: 'x' }, 'ok'],
    [{ name: 'x', kind: 'a', count: 1, list: ['y'] }, 'ok'],
    [null, 'body_not_object'],
    [[], 'body_not_object'],
    ['x', 'body_not_object'],
    [{}, 'missing_field name'],
    [{ nme: 'x' }, 'unknown_field nme'],
    [{ name: 1 }, 'wrong_type name'],
    [{ name: null }, 'wrong_type name'],
    [{ name: 'X' }, 'invalid_value name'],
    [{ name: 'x', kind: 'c' }, 'invalid_value kind'],
    [{ name: 'x', kind: 7 }, 'wrong_type kind'],
    [{ name: 'x', count: 0 }, 'invalid_value count'],
    [{ name: 'x', count: 1.5 }, 'wrong_type count'],
    [{ name: 'x', list: [1] }, 'wrong_type list.0'],
    [{ name: 'x', list: ['', '', ''] }, 'invalid_value list'],
  ]
  for (const [body, outcome] of table) {
    it(`${JSON.stringify(body)}: ${outcome}`, () => {
      if (checker.accepts(body)) return assert.equal('ok', outcome)
      const { code, details } = checker.problem(body)
      assert.equal(details.field === undefined ? code : `${code} ${details.field}`, outcome)
    })
  }

  it('counts nesting outside strings', () => {
    assert.equal(nestingOf('1'), 0)
    assert.equal(nestingOf('{"a":[{}]}'), 3)
    assert.equal(nestingOf('{"a":"[[[[\\"[[["}'), 1)
    assert.equal(nestingOf('['.repeat(30_000)), 30_000)
  })
})
