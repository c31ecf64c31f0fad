import assert from 'node:assert/strict'
import type { AskedBy } from '#mesh/protocol/accounts.ts'
import { OPEN, parseCommand, recordingContext } from '../testing/script.ts'
import { engineRules } from './rules.ts'

const ASKER: AskedBy = { origin: 'rabbitmq', requestId: 'own-1' }

/** Who asked for what each order's slot is told, after `when` came through a broker. */
function askersOf(given: readonly string[], when: string): string[] {
  const state = engineRules.initialState(0)
  engineRules.apply(state, OPEN, recordingContext('definitions-0', 900).context)
  for (const [index, text] of given.entries()) {
    const { item, source } = parseCommand(text, 1001 + index)
    engineRules.apply(state, item, recordingContext(source, 1000 + index).context)
  }
  const { item, source } = parseCommand(when, 2000)
  const { context, said } = recordingContext(source, 2000)
  engineRules.apply(state, { ...item, ...ASKER } as typeof item, context)
  return said.items.map(({ item: sent }) => {
    const { type, orderId, origin = '-', requestId = '-' } = sent as AskedBy & { type: string; orderId: number }
    return `${type} #${orderId} ${origin} ${requestId}`
  })
}

describe('what came through a broker', () => {
  const rows: [name: string, given: string[], when: string, told: string[]][] = [
    ['a cancel', ['buy #1 5@100'], 'cancel #1', ['OrderOutcome #1 rabbitmq own-1']],
    ['a refused cancel', [], 'cancel #1', ['OrderCommandRefused #1 rabbitmq own-1']],
    ['an amendment', ['buy #1 5@100'], 'amend #1 3@100', ['OrderOutcome #1 rabbitmq own-1']],
    ['a refused amendment', [], 'amend #1 3@100', ['OrderCommandRefused #1 rabbitmq own-1']],
    [
      'an amendment that meets another order, whose owner did not ask',
      ['buy #1 5@90', 'sell #2 5@100'],
      'amend #1 5@100 hold 1000',
      ['OrderOutcome #2 - -', 'OrderOutcome #1 rabbitmq own-1'],
    ],
  ]
  for (const [name, given, when, told] of rows) {
    it(`is answered as such: ${name}`, () => assert.deepEqual(askersOf(given, when), told))
  }
})
