import assert from 'node:assert/strict'
import type { MarketItem } from '#mesh/protocol/engine.ts'
import { describe as lines, MARKET, OPEN, parseCommand, recordingContext } from '../testing/script.ts'
import { engineRules } from './rules.ts'

interface Row {
  readonly name: string
  readonly given?: readonly string[]
  readonly when: string
  readonly leadsTo: readonly string[]
}

/** Applies the commands of `given` to a slot with one open market, then says all that `when` leads to. */
function check({ given = [], when, leadsTo }: Row): void {
  const state = engineRules.initialState(0)
  engineRules.apply(state, OPEN, recordingContext('definitions-0', 900).context)
  const commands = [...given, when]
  for (const [index, text] of commands.entries()) {
    const { item, source } = parseCommand(text, 1001 + index)
    const { context, said } = recordingContext(source, 1000 + index)
    engineRules.apply(state, item, context)
    if (index === commands.length - 1) assert.deepEqual(lines(said), leadsTo)
  }
}

const TABLES: Record<string, readonly Row[]> = {
  'new limit orders': [
    {
      name: 'rest where nothing crosses',
      when: 'buy #1 5@100',
      leadsTo: [
        'accounts-1: placed #1 new 0/5@100 consumed 0 released 0',
        'book 1 bids [100:5] asks []',
        'reply: placed #1 new quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'join the level of their price',
      given: ['sell #1 5@100'],
      when: 'sell #2 3@100',
      leadsTo: [
        'accounts-1: placed #2 new 0/3@100 consumed 0 released 0',
        'book 2 bids [] asks [100:8]',
        'reply: placed #2 new quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: "buy at the resting order's price and get the difference back; fees are of what is received, rounded up",
      given: ['sell #1 5@100 by 8/2'],
      when: 'buy #2 5@110',
      leadsTo: [
        'accounts-2: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: placed #2 executed 5/5@110 5@100 fee 1 consumed 1000 released 100',
        'trade 1 buy 5@100',
        'book 2 bids [] asks [100:0]',
        'reply: placed #2 executed quote 1000 fee 1 fills 1 ~1',
      ],
    },
    {
      name: "sell at the resting order's price; the seller gets more, nothing is released",
      given: ['buy #1 500@110 by 8/2'],
      when: 'sell #2 500@100',
      leadsTo: [
        'accounts-2: matched #1 executed 500/500@110 500@110 fee 5 consumed 110000 released 0',
        'accounts-1: placed #2 executed 500/500@100 500@110 fee 220 consumed 5000 released 0',
        'trade 1 sell 500@110',
        'book 2 bids [110:0] asks []',
        'reply: placed #2 executed quote 110000 fee 220 fills 1 ~1',
      ],
    },
    {
      name: 'fill in part and rest with what is left, holding just what that needs',
      given: ['sell #1 5@100 by 8/2', 'sell #2 4@101 by 9/3'],
      when: 'buy #3 12@105',
      leadsTo: [
        'accounts-2: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-3: matched #2 executed 4/4@101 4@101 fee 1 consumed 40 released 0',
        'accounts-1: placed #3 partially_filled 9/12@105 5@100 fee 1, 4@101 fee 1 consumed 1808 released 82',
        'trade 1 buy 5@100',
        'trade 2 buy 4@101',
        'book 3 bids [105:3] asks [100:0 101:0]',
        'reply: placed #3 partially_filled quote 1808 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'fill a part of what rests; it keeps the rest, first come first served',
      given: ['sell #1 5@100 by 8/2', 'sell #2 4@100 by 9/3'],
      when: 'buy #3 6@100',
      leadsTo: [
        'accounts-2: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-3: matched #2 partially_filled 1/4@100 1@100 fee 1 consumed 10 released 0',
        'accounts-1: placed #3 executed 6/6@100 5@100 fee 1, 1@100 fee 1 consumed 1200 released 0',
        'trade 1 buy 5@100',
        'trade 2 buy 1@100',
        'book 3 bids [] asks [100:3]',
        'reply: placed #3 executed quote 1200 fee 2 fills 2 ~2',
      ],
    },
    {
      name: "may meet the member's own orders; each is an outcome of its own",
      given: ['sell #1 5@100', 'sell #2 5@100'],
      when: 'buy #3 10@100',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: matched #2 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: placed #3 executed 10/10@100 5@100 fee 1, 5@100 fee 1 consumed 2000 released 0',
        'trade 1 buy 5@100',
        'trade 2 buy 5@100',
        'book 3 bids [] asks [100:0]',
        'reply: placed #3 executed quote 2000 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'give back at once what was reserved beyond their need',
      when: 'buy #1 5@100 hold 1234',
      leadsTo: [
        'accounts-1: placed #1 new 0/5@100 consumed 0 released 234',
        'book 1 bids [100:5] asks []',
        'reply: placed #1 new quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'may take the place of an order that they met',
      given: ['sell #1 5@100', 'buy #2 7@100'],
      when: 'cancel #2',
      leadsTo: [
        'accounts-1: cancelled #2 cancelled 5/7@100 consumed 0 released 400',
        'book 3 bids [100:0] asks []',
        'reply: cancelled #2 cancelled quote 1000 fee 1 fills 0 ~0',
      ],
    },
  ],

  'market orders': [
    {
      name: 'execute completely; what the worst price had reserved beyond goes back',
      given: ['sell #1 5@100', 'sell #2 5@102'],
      when: 'market buy #3 8@110',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: matched #2 partially_filled 3/5@102 3@102 fee 1 consumed 30 released 0',
        'accounts-1: placed #3 executed 8/8@110 5@100 fee 1, 3@102 fee 1 consumed 1612 released 148',
        'trade 1 buy 5@100',
        'trade 2 buy 3@102',
        'book 3 bids [] asks [100:0 102:2]',
        'reply: placed #3 executed quote 1612 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'close with no_liquidity where the other side ends',
      given: ['sell #1 5@100'],
      when: 'market buy #3 8@110',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: placed #3 closed(no_liquidity) 5/8@110 5@100 fee 1 consumed 1000 released 760',
        'trade 1 buy 5@100',
        'book 2 bids [] asks [100:0]',
        'reply: placed #3 closed(no_liquidity) quote 1000 fee 1 fills 1 ~1',
      ],
    },
    {
      name: 'close with worst_price where the rest costs more',
      given: ['buy #1 5@100', 'buy #2 5@90'],
      when: 'market sell #3 8@95',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 1000 released 0',
        'accounts-1: placed #3 closed(worst_price) 5/8@95 5@100 fee 2 consumed 50 released 30',
        'trade 1 sell 5@100',
        'book 3 bids [100:0] asks []',
        'reply: placed #3 closed(worst_price) quote 1000 fee 2 fills 1 ~1',
      ],
    },
    {
      name: 'are rejected with no_liquidity where there is nothing at all',
      when: 'market buy #3 8@110',
      leadsTo: [
        'accounts-1: placed #3 rejected(no_liquidity) 0/8@110 consumed 0 released 1760',
        'reply: placed #3 rejected(no_liquidity) quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'are rejected with worst_price where everything costs more',
      given: ['sell #1 5@111'],
      when: 'market buy #3 8@110',
      leadsTo: [
        'accounts-1: placed #3 rejected(worst_price) 0/8@110 consumed 0 released 1760',
        'reply: placed #3 rejected(worst_price) quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'by quote total buy whole lots; what is below one lot goes back',
      given: ['sell #1 5@100', 'sell #2 5@101'],
      when: 'market buy #3 quote 850@105',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: matched #2 partially_filled 3/5@101 3@101 fee 1 consumed 30 released 0',
        'accounts-1: placed #3 executed 8/0@105 5@100 fee 1, 3@101 fee 1 consumed 1606 released 94',
        'trade 1 buy 5@100',
        'trade 2 buy 3@101',
        'book 3 bids [] asks [100:0 101:2]',
        'reply: placed #3 executed quote 1606 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'by quote total sell no more than brings it; the base that was held for worse prices goes back',
      given: ['buy #1 5@100', 'buy #2 5@95'],
      when: 'market sell #3 quote 700@80',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 1000 released 0',
        'accounts-1: matched #2 partially_filled 2/5@95 2@95 fee 1 consumed 380 released 0',
        'accounts-1: placed #3 executed 7/8@80 5@100 fee 2, 2@95 fee 1 consumed 70 released 10',
        'trade 1 sell 5@100',
        'trade 2 sell 2@95',
        'book 3 bids [100:0 95:3] asks []',
        'reply: placed #3 executed quote 1380 fee 3 fills 2 ~2',
      ],
    },
    {
      name: 'by quote total close with no_liquidity where the other side ends',
      given: ['sell #1 5@100'],
      when: 'market buy #3 quote 850@105',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: placed #3 closed(no_liquidity) 5/0@105 5@100 fee 1 consumed 1000 released 700',
        'trade 1 buy 5@100',
        'book 2 bids [] asks [100:0]',
        'reply: placed #3 closed(no_liquidity) quote 1000 fee 1 fills 1 ~1',
      ],
    },
    {
      name: 'by quote total are rejected where one lot brings more than the total',
      given: ['buy #1 5@100'],
      when: 'market sell #3 quote 95@90',
      leadsTo: [
        'accounts-1: placed #3 rejected(amount_below_minimum) 0/1@90 consumed 0 released 10',
        'reply: placed #3 rejected(amount_below_minimum) quote 0 fee 0 fills 0 ~0',
      ],
    },
  ],

  'refused new orders': [
    ...rejections('market_unknown', 'buy #9 5@100 on XXX-YYY', 1000),
    ...rejections('market_halted', 'buy #9 5@100', 1000, ['status halted']),
    ...rejections('market_cancel_only', 'buy #9 5@100', 1000, ['status cancel_only']),
    ...rejections('order_id_known', 'sell #9 5@200', 50, ['buy #9 5@100']),
    ...rejections('id_conflict', 'buy #0 5@100', 1000),
    ...rejections('price_invalid', 'buy #9 5@0', 0),
    ...rejections('price_invalid', 'sell #9 5@2147483648', 50),
    ...rejections('amount_invalid', 'buy #9 0@100', 0),
    ...rejections('amount_invalid', 'buy #9 1.5@100 hold 300', 300),
    ...rejections('amount_invalid', 'buy #9 quote 100@100 hold 200', 200),
    ...rejections('amount_invalid', 'market buy #9 quote 0@100', 0),
    ...rejections('order_value_too_large', 'sell #9 4503599627370496@2 hold 9', 9),
    ...rejections('amount_invalid', 'sell #9 1@1 hold 10', 10, ['sell #1 9007199254740991@1 hold 90071992547409910']),
    ...rejections('hold_too_small', 'buy #9 5@100 hold 999', 999),
    ...rejections('hold_too_small', 'sell #9 5@100 hold 49', 49),
    ...rejections('hold_too_small', 'market buy #9 quote 500@100 hold 999', 999),
  ],

  cancels: [
    {
      name: 'give everything back',
      given: ['buy #1 5@100 client c1'],
      when: 'cancel #1',
      leadsTo: [
        'accounts-1: cancelled #1 cancelled 0/5@100 consumed 0 released 1000',
        'book 2 bids [100:0] asks []',
        'reply: cancelled #1 cancelled quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'leave the others of the level',
      given: ['sell #1 5@100', 'sell #2 4@100', 'sell #3 3@100'],
      when: 'cancel #2',
      leadsTo: [
        'accounts-1: cancelled #2 cancelled 0/4@100 consumed 0 released 40',
        'book 4 bids [] asks [100:8]',
        'reply: cancelled #2 cancelled quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'are possible in a market that is cancel-only',
      given: ['buy #1 5@100', 'status cancel_only'],
      when: 'cancel #1',
      leadsTo: [
        'accounts-1: cancelled #1 cancelled 0/5@100 consumed 0 released 1000',
        'book 2 bids [100:0] asks []',
        'reply: cancelled #1 cancelled quote 0 fee 0 fills 0 ~0',
      ],
    },
    ...refusals('market_unknown', 'cancel #1 on XXX-YYY'),
    ...refusals('market_halted', 'cancel #1', ['buy #1 5@100', 'status halted']),
    ...refusals('order_not_open', 'cancel #1'),
    ...refusals('order_not_open', 'cancel #1', ['buy #1 5@100', 'cancel #1']),
    ...refusals('order_not_open', 'cancel #1', ['buy #1 5@100', 'sell #2 5@100']),
    ...refusals('order_not_open', 'cancel #1', ['buy #1 5@100 by 8/1']),
  ],

  amendments: [
    {
      name: 'to less keep the place in the queue and give the surplus back',
      given: ['sell #1 5@100', 'sell #2 5@100', 'amend #1 2'],
      when: 'buy #3 3@100',
      leadsTo: [
        'accounts-1: matched #1 executed 2/2@100 2@100 fee 1 consumed 20 released 0',
        'accounts-1: matched #2 partially_filled 1/5@100 1@100 fee 1 consumed 10 released 0',
        'accounts-1: placed #3 executed 3/3@100 2@100 fee 1, 1@100 fee 1 consumed 600 released 0',
        'trade 1 buy 2@100',
        'trade 2 buy 1@100',
        'book 4 bids [] asks [100:4]',
        'reply: placed #3 executed quote 600 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'to less say what is free again',
      given: ['buy #1 5@100', 'sell #2 1@100'],
      when: 'amend #1 3',
      leadsTo: [
        'accounts-1: amended #1 partially_filled 1/3@100 consumed 0 released 400',
        'book 3 bids [100:2] asks []',
        'reply: amended #1 partially_filled quote 200 fee 1 fills 0 ~0',
      ],
    },
    {
      name: 'to more go to the end of the queue and use what was added',
      given: ['sell #1 5@100', 'sell #2 5@100', 'amend #1 7 hold 20'],
      when: 'buy #3 6@100',
      leadsTo: [
        'accounts-1: matched #2 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: matched #1 partially_filled 1/7@100 1@100 fee 1 consumed 10 released 0',
        'accounts-1: placed #3 executed 6/6@100 5@100 fee 1, 1@100 fee 1 consumed 1200 released 0',
        'trade 1 buy 5@100',
        'trade 2 buy 1@100',
        'book 4 bids [] asks [100:6]',
        'reply: placed #3 executed quote 1200 fee 2 fills 2 ~2',
      ],
    },
    {
      name: 'to another price change both levels, the better one first',
      given: ['buy #1 5@100'],
      when: 'amend #1 @101 hold 10',
      leadsTo: [
        'accounts-1: amended #1 new 0/5@101 consumed 0 released 0',
        'book 2 bids [101:5 100:0] asks []',
        'reply: amended #1 new quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'without a change go to the end of the queue; the levels stay as they were',
      given: ['sell #1 5@100', 'sell #2 5@100'],
      when: 'amend #1 5@100',
      leadsTo: [
        'accounts-1: amended #1 new 0/5@100 consumed 0 released 0',
        'reply: amended #1 new quote 0 fee 0 fills 0 ~0',
      ],
    },
    {
      name: 'to a price that crosses trade at once, as taker, and rest with what is left',
      given: ['sell #1 3@105 by 8/2', 'buy #2 5@100 client mine', 'sell #3 1@100'],
      when: 'amend #2 6@106 hold 260',
      leadsTo: [
        'accounts-2: matched #1 executed 3/3@105 3@105 fee 1 consumed 30 released 0',
        'accounts-1: amended #2 partially_filled 4/6@106 3@105 fee 1 consumed 630 released 6',
        'trade 2 buy 3@105',
        'book 4 bids [106:2 100:0] asks [105:0]',
        'reply: amended #2 partially_filled quote 830 fee 2 fills 1 ~1',
      ],
    },
    {
      name: 'to a price that crosses may execute the order',
      given: ['buy #1 9@100 by 8/2', 'sell #2 5@105'],
      when: 'amend #2 @100',
      leadsTo: [
        'accounts-2: matched #1 partially_filled 5/9@100 5@100 fee 1 consumed 1000 released 0',
        'accounts-1: amended #2 executed 5/5@100 5@100 fee 2 consumed 50 released 0',
        'trade 1 sell 5@100',
        'book 3 bids [100:4] asks [105:0]',
        'reply: amended #2 executed quote 1000 fee 2 fills 1 ~1',
      ],
    },
    {
      name: 'give back what was added in vain, as the order was filled meanwhile',
      given: ['buy #1 5@100', 'sell #2 3@100'],
      when: 'amend #1 5@90 hold 300',
      leadsTo: [
        'accounts-1: amended #1 partially_filled 3/5@90 consumed 0 released 340',
        'book 3 bids [100:0 90:2] asks []',
        'reply: amended #1 partially_filled quote 600 fee 1 fills 0 ~0',
      ],
    },
    ...refusals('market_unknown', 'amend #1 7@100 on XXX-YYY hold 60', [], 60),
    ...refusals('market_halted', 'amend #1 7@100 hold 60', ['buy #1 5@100', 'status halted'], 60),
    ...refusals('market_cancel_only', 'amend #1 7@100 hold 60', ['buy #1 5@100', 'status cancel_only'], 60),
    ...refusals('order_not_open', 'amend #1 7@100 hold 60', [], 60),
    ...refusals('order_not_open', 'amend #1 7@100 hold 60', ['buy #1 5@100', 'sell #2 5@100'], 60),
    ...refusals('order_not_open', 'amend #1 7@100 hold 60', ['buy #1 5@100 by 7/2'], 60),
    ...refusals('price_invalid', 'amend #1 5@0 hold 60', ['buy #1 5@100'], 60),
    ...refusals('amount_invalid', 'amend #1 -5@100', ['buy #1 5@100']),
    ...refusals('order_value_too_large', 'amend #1 9007199254740991@2', ['sell #1 5@100']),
    ...refusals('amount_not_above_executed', 'amend #1 3', ['buy #1 5@100', 'sell #2 3@100']),
    ...refusals(
      'amount_invalid',
      'amend #1 2@1 hold 10',
      ['sell #2 9007199254740990@1 hold 90071992547409900', 'sell #1 1@1'],
      10,
    ),
    ...refusals('hold_too_small', 'amend #1 7 hold 399', ['buy #1 5@100'], 399),
    ...refusals('hold_too_small', 'amend #1 6 hold 9', ['sell #1 5@100'], 9),
  ],

  markets: [
    {
      name: 'are confirmed again when opened again',
      given: ['status halted'],
      when: 'open',
      leadsTo: ['definitions-0: applied AAA-BBB halted'],
    },
    {
      name: 'change their status',
      when: 'status halted',
      leadsTo: ['definitions-0: applied AAA-BBB halted', 'status AAA-BBB halted'],
    },
    {
      name: 'confirm the status that they have',
      when: 'status trading',
      leadsTo: ['definitions-0: applied AAA-BBB trading'],
    },
    {
      name: 'that nobody opened are not changed',
      when: 'status halted on XXX-YYY',
      leadsTo: ['ignored market_unknown', 'reply: refused market_unknown'],
    },
    {
      name: 'trade again after a halt, with what rested before',
      given: ['sell #1 5@100', 'status halted', 'status trading'],
      when: 'buy #2 5@100',
      leadsTo: [
        'accounts-1: matched #1 executed 5/5@100 5@100 fee 1 consumed 50 released 0',
        'accounts-1: placed #2 executed 5/5@100 5@100 fee 1 consumed 1000 released 0',
        'trade 1 buy 5@100',
        'book 2 bids [] asks [100:0]',
        'reply: placed #2 executed quote 1000 fee 1 fills 1 ~1',
      ],
    },
  ],
}

function rejections(code: string, when: string, holdMinor: number, given: readonly string[] = []): Row[] {
  const id = /#(\d+)/.exec(when)?.[1]
  const { item } = parseCommand(when, 0)
  const amount = item.type === 'EnterOrder' ? `${item.amountLots}@${item.priceTicks}` : ''
  return [
    {
      name: `${code}: ${when}`,
      given,
      when,
      leadsTo: [
        `accounts-1: placed #${id} rejected(${code}) 0/${amount} consumed 0 released ${holdMinor}`,
        `reply: placed #${id} rejected(${code}) quote 0 fee 0 fills 0 ~0`,
      ],
    },
  ]
}

function refusals(code: string, when: string, given: readonly string[] = [], releasedMinor = 0): Row[] {
  const cause = when.startsWith('cancel') ? 'cancelled' : 'amended'
  return [
    {
      name: `${code}: ${[...given, when].join('; ')}`,
      given,
      when,
      leadsTo: [`accounts-1: ${cause} refused #1 ${code} released ${releasedMinor}`, `reply: refused #1 ${code} ~0`],
    },
  ]
}

describe('engine rules', () => {
  for (const [title, rows] of Object.entries(TABLES)) {
    describe(title, () => {
      for (const row of rows) it(row.name, () => check(row))
    })
  }

  it('open a market once, and another of its name never', () => {
    const state = engineRules.initialState(0)
    const apply = (item: MarketItem): string[] => {
      const { context, said } = recordingContext('definitions-0', 1)
      engineRules.apply(state, item, context)
      return lines(said)
    }
    assert.deepEqual(apply(OPEN), ['definitions-0: applied AAA-BBB trading', 'opened AAA-BBB'])
    const hash = engineRules.stateHash(state)
    assert.deepEqual(apply(OPEN), ['definitions-0: applied AAA-BBB trading'])
    const other: MarketItem = { ...OPEN, type: 'OpenMarket', market: { ...MARKET, baseMinorPerLot: '11' } }
    assert.deepEqual(apply(other), ['ignored definition_conflict', 'reply: refused definition_conflict'])
    assert.equal(engineRules.stateHash(state), hash)
  })

  it('ignore what comes from where it may not come from', () => {
    const state = engineRules.initialState(0)
    engineRules.apply(state, OPEN, recordingContext('definitions-0', 1).context)
    const hash = engineRules.stateHash(state)
    const forged: [string, string][] = [
      ['buy #1 5@100', 'cmd'],
      ['cancel #1', 'markets-1'],
      ['amend #1 5', 'definitions-0'],
      ['status halted', 'cmd'],
      ['open', 'accounts-1'],
    ]
    for (const [text, source] of forged) {
      const { context, said } = recordingContext(source, 2)
      engineRules.apply(state, parseCommand(text, 2).item, context)
      assert.deepEqual(lines(said), ['ignored not_accepted'])
    }
    assert.equal(engineRules.stateHash(state), hash)
  })

  it('answer with the whole order', () => {
    const state = engineRules.initialState(0)
    engineRules.apply(state, OPEN, recordingContext('definitions-0', 900).context)
    const replyTo = (text: string, timeUs: number): unknown => {
      const { item, source } = parseCommand(text, timeUs)
      const { context, said } = recordingContext(source, timeUs)
      engineRules.apply(state, item, context)
      assert.equal(said.replies.length, 1)
      assert.equal(said.replies[0]?.replyTo, 'gateway-1')
      return said.replies[0]?.reply
    }
    replyTo('buy #1 5@100 client mine', 1000)
    replyTo('sell #2 2@90', 2000)
    const order = {
      orderId: 1,
      memberId: 7,
      clientOrderId: 'mine',
      instrument: 'AAA-BBB',
      side: 'buy',
      orderType: 'limit',
      priceTicks: 100,
      amountLots: 5,
      executedLots: 2,
      executedQuoteMinor: '400',
      feeMinor: '1',
      status: 'cancelled',
      createdAtUs: 500,
      receivedAtUs: 1000,
      updatedAtUs: 3000,
    }
    assert.deepEqual(replyTo('cancel #1', 3000), {
      kind: 'order',
      cause: 'cancelled',
      commandId: 3000,
      order,
      fills: [],
    })
    assert.deepEqual(replyTo('market sell #4 quote 300@90', 4000), {
      kind: 'order',
      cause: 'placed',
      commandId: 4000,
      order: {
        orderId: 4,
        memberId: 7,
        instrument: 'AAA-BBB',
        side: 'sell',
        orderType: 'market',
        priceTicks: 90,
        amountLots: 3,
        quoteTickLots: 300,
        executedLots: 0,
        executedQuoteMinor: '0',
        feeMinor: '0',
        status: 'rejected',
        reason: 'no_liquidity',
        createdAtUs: 500,
        receivedAtUs: 4000,
        updatedAtUs: 4000,
      },
      fills: [],
    })
  })

  it('end an order that has used up its fills', function () {
    this.timeout(10_000)
    const state = engineRules.initialState(0)
    engineRules.apply(state, OPEN, recordingContext('definitions-0', 900).context)
    const apply = (text: string) => {
      const { item, source } = parseCommand(text, 1)
      const { context, said } = recordingContext(source, 1000)
      engineRules.apply(state, item, context)
      return said
    }
    for (let id = 1; id <= 10_001; id++) apply(`sell #${id} 1@100`)
    const said = apply('buy #20000 10002@100')
    assert.equal(said.items.length, 10_001)
    assert.equal(said.events.length, 10_001)
    const [outcome = '', ...rest] = lines({ ...said, items: said.items.slice(-1), events: said.events.slice(-1) })
    assert.match(outcome, /^accounts-1: placed #20000 closed\(fills_limit\) 10000\/10002@100 /)
    assert.match(outcome, / consumed 2000000 released 400$/)
    assert.deepEqual(rest, [
      'book 10002 bids [] asks [100:1]',
      'reply: placed #20000 closed(fills_limit) quote 2000000 fee 10000 fills 10000 ~10000',
    ])
  })
})
