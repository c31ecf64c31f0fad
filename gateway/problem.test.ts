import assert from 'node:assert/strict'
import { RpcError } from '#mesh/rpc.ts'
import { Problem, problemAnswer, problemOf } from './problem.ts'

describe('problems', () => {
  it('have code, message, and what they are about', () => {
    const { status, json, headers } = problemAnswer('rate_limited', { retryAfterSeconds: 3, field: 'x', orderId: 7 })
    assert.equal(status, 429)
    assert.deepEqual(JSON.parse(json), {
      code: 'rate_limited',
      message: 'Too many requests of this member or address.',
      field: 'x',
      orderId: '7',
    })
    assert.deepEqual(headers, ['retry-after', '3'])
  })
  it('pass on what a service refused, with its field', () => {
    const problem = problemOf(new RpcError('email_taken', 'It is taken.', { field: 'email' }))
    assert.deepEqual([problem.status, problem.code, problem.message], [409, 'email_taken', 'It is taken.'])
    assert.equal(problem.details.field, 'email')
  })
  it('keep what is inside to themselves', () => {
    assert.doesNotMatch(problemOf(new RpcError('service_unavailable', 'Nobody serves rpc.auth.login.')).message, /rpc/)
    for (const error of [new Error('secret'), new RpcError('no_such_code', 'secret'), 'secret']) {
      const problem = problemOf(error)
      assert.deepEqual([problem.status, problem.code], [500, 'internal_error'])
      assert.doesNotMatch(problem.message, /secret/)
    }
  })
  it('stay what they are', () => {
    const problem = new Problem('order_not_found')
    assert.equal(problemOf(problem), problem)
  })
})
