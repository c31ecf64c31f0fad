import assert from 'node:assert/strict'
import { type Notable, notable, throttled } from './notable-lines.ts'

describe('what of a log is shown on the screen', () => {
  const rows: [line: string, shown: Notable | undefined][] = [
    ['{"level":30,"msg":"started"}', undefined],
    ['{"level":40,"msg":"slow"}', { severity: 'warning', text: 'slow' }],
    ['{"level":50,"msg":"lost","err":{"message":"no answer"}}', { severity: 'failure', text: 'lost: no answer' }],
    ['{"level":60,"err":{"message":"broken"}}', { severity: 'failure', text: 'broken' }],
    ['TypeError: x is not a function', { severity: 'warning', text: 'TypeError: x is not a function' }],
    ['{"no":"level"}', { severity: 'warning', text: '{"no":"level"}' }],
    ['{half', { severity: 'warning', text: '{half' }],
    ['', undefined],
  ]
  for (const [line, shown] of rows) it(`${line} → ${shown?.text}`, () => assert.deepEqual(notable(line), shown))

  it('shows five lines a second, and then how many it kept back', () => {
    const shown: string[] = []
    let nowMs = 0
    const show = throttled(
      ({ text }) => shown.push(text),
      () => nowMs,
    )
    for (let n = 1; n <= 8; n++) show({ severity: 'warning', text: `${n}` })
    assert.deepEqual(shown, ['1', '2', '3', '4', '5'])
    nowMs = 1000
    show({ severity: 'warning', text: '9' })
    assert.deepEqual(shown.slice(5), ['… and 3 lines more, in its log', '9'])
  })
})
