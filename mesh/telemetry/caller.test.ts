import assert from 'node:assert/strict'
import { callerOf } from './caller.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

describe('the trace of a caller', () => {
  const table: [what: string, headers: Record<string, string | string[]>, caller: string | undefined][] = [
    ['traceparent', { traceparent: `00-${TRACE}-${SPAN}-01` }, `00-${TRACE}-${SPAN}-01`],
    ['one that is not sampled', { traceparent: `00-${TRACE}-${SPAN}-00` }, `00-${TRACE}-${SPAN}-01`],
    ['one of a later version', { traceparent: `01-${TRACE}-${SPAN}-00-more` }, `00-${TRACE}-${SPAN}-01`],
    ['a version that is none', { traceparent: `ff-${TRACE}-${SPAN}-00` }, undefined],
    ['no trace id', { traceparent: `00-${'0'.repeat(32)}-${SPAN}-01` }, undefined],
    ['no span id', { traceparent: `00-${TRACE}-${'0'.repeat(16)}-01` }, undefined],
    ['capitals', { traceparent: `00-${TRACE.toUpperCase()}-${SPAN}-01` }, undefined],
    ['anything', { traceparent: 'x'.repeat(100_000) }, undefined],
    ['several', { traceparent: ['a', 'b'] }, undefined],
    ['uber-trace-id', { 'uber-trace-id': `${TRACE}:${SPAN}:0:1` }, `00-${TRACE}-${SPAN}-01`],
    [
      '64 bits of it',
      { 'uber-trace-id': 'abc:def:0:1' },
      `00-${'abc'.padStart(32, '0')}-${'def'.padStart(16, '0')}-01`,
    ],
    ['an encoded one', { 'uber-trace-id': `${TRACE}%3A${SPAN}%3A0%3A1` }, `00-${TRACE}-${SPAN}-01`],
    ['half of it', { 'uber-trace-id': `${TRACE}:${SPAN}` }, undefined],
    [
      'both: W3C’s counts',
      { 'uber-trace-id': 'abc:def:0:1', traceparent: `00-${TRACE}-${SPAN}-01` },
      `00-${TRACE}-${SPAN}-01`,
    ],
    ['none', {}, undefined],
  ]
  for (const [what, headers, caller] of table) {
    it(`with ${what}`, () => assert.equal(callerOf(headers), caller))
  }
})
