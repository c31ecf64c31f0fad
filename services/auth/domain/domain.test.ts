import assert from 'node:assert/strict'
import { attemptLimits } from './attempts.ts'
import { expiredKeys, isRotationDue, type KeyTimes, SHORT_TOKEN_MS_MAX, signingKey } from './keys.ts'
import { denialCodeOf, isPasswordLongEnough, normalEmail, rolesToText, textToRoles } from './members.ts'

describe('members', () => {
  const emails: [text: string, email: string | undefined][] = [
    ['ann@example.com', 'ann@example.com'],
    ['  Ann.Smith+x@Example.COM ', 'ann.smith+x@example.com'],
    ['a@b.co', 'a@b.co'],
    ['ann@example', undefined],
    ['ann@@example.com', undefined],
    ['ann@-example.com', undefined],
    ['ann@example-.com', undefined],
    ['an..n@example.com', undefined],
    ['.ann@example.com', undefined],
    ['ann.@example.com', undefined],
    ['@example.com', undefined],
    ['ann example@example.com', undefined],
    ['änn@example.com', undefined],
    [`${'a'.repeat(65)}@example.com`, undefined],
    [`a@${'b.'.repeat(130)}com`, undefined],
    ["ann@example.com' OR 1=1", undefined],
  ]
  for (const [text, email] of emails) {
    it(`"${text.slice(0, 40)}" is ${email ?? 'no e-mail'}`, () => assert.equal(normalEmail(text), email))
  }

  it('a password counts in characters, not in code units', () => {
    assert.equal(isPasswordLongEnough('12345678'), true)
    assert.equal(isPasswordLongEnough('1234567'), false)
    assert.equal(isPasswordLongEnough('😀😀😀😀'), false)
  })

  it('roles have one order, each once, member always', () => {
    assert.equal(rolesToText(['admin', 'broker', 'admin']), 'member,broker,admin')
    assert.equal(rolesToText([]), 'member')
    assert.deepEqual(textToRoles('member,admin'), ['member', 'admin'])
  })

  it('the weightiest reason is told', () => {
    assert.equal(denialCodeOf('closed', true), 'member_closed')
    assert.equal(denialCodeOf('blocked', true), 'member_blocked')
    assert.equal(denialCodeOf('active', true), 'member_denied')
    assert.equal(denialCodeOf('active', false), undefined)
  })
})

describe('limits of attempts', () => {
  it('a pair of e-mail and place has the tightest one', () => {
    assert.deepEqual(
      attemptLimits('a@b.co', 'x').map(({ attemptsMax }) => attemptsMax),
      [10, 100, 500],
    )
  })
  it('without a place the e-mail has it', () => {
    assert.deepEqual(attemptLimits('a@b.co', undefined), [{ subject: 'email:a@b.co', attemptsMax: 10 }])
  })
})

describe('signing keys', () => {
  const HOUR_MS = 3_600_000
  const key = (id: string, usedFromMs: number, tokensUntilMs = 0): KeyTimes => ({
    id,
    createdAtMs: usedFromMs - 30_000,
    usedFromMs,
    tokensUntilMs,
  })

  it('the one signs whose use began last, and none before its use begins', () => {
    const keys = [key('2', 2000), key('1', 1000), key('3', 3000)]
    assert.equal(signingKey(keys, 999), undefined)
    assert.equal(signingKey(keys, 1000)?.id, '1')
    assert.equal(signingKey(keys, 2999)?.id, '2')
    assert.equal(signingKey(keys, 3000)?.id, '3')
  })

  it('of two that begin at once every instance takes the same', () => {
    assert.equal(signingKey([key('1', 5), key('2', 5)], 5)?.id, '2')
    assert.equal(signingKey([key('2', 5), key('1', 5)], 5)?.id, '2')
  })

  it('a new one is due when there is none or the newest is old', () => {
    assert.equal(isRotationDue([], 0, HOUR_MS), true)
    assert.equal(isRotationDue([key('1', 30_000)], HOUR_MS - 1, HOUR_MS), false)
    assert.equal(isRotationDue([key('1', 30_000)], HOUR_MS, HOUR_MS), true)
    assert.equal(isRotationDue([key('1', 30_000), key('2', HOUR_MS)], HOUR_MS, HOUR_MS), false)
  })

  it('one goes when another has signed for longer than its tokens live', () => {
    const goneAtMs = 5000 + SHORT_TOKEN_MS_MAX + HOUR_MS
    const keys = [key('1', 1000), key('2', 5000)]
    assert.deepEqual(expiredKeys(keys, goneAtMs), [])
    assert.deepEqual(expiredKeys(keys, goneAtMs + 1), [keys[0]])
    assert.deepEqual(expiredKeys([key('1', 1000)], Number.MAX_SAFE_INTEGER), [])
  })

  it('one that signed a long-lived token stays as long as that', () => {
    const untilMs = 365 * 24 * HOUR_MS
    const keys = [key('1', 1000, untilMs), key('2', 5000)]
    assert.deepEqual(expiredKeys(keys, untilMs + HOUR_MS), [])
    assert.deepEqual(expiredKeys(keys, untilMs + HOUR_MS + 1), [keys[0]])
  })
})
