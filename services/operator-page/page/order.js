import { ask, Refused } from './api.js'
import { byId, createTable, el, setText } from './dom.js'
import { exactTime, microseconds } from './format.js'

const FACTS = [
  ['instrument', 'Market'],
  ['side', 'Side'],
  ['type', 'Type'],
  ['price', 'Price'],
  ['worstPrice', 'Worst price'],
  ['amount', 'Amount'],
  ['quoteAmount', 'Quote amount'],
  ['executedAmount', 'Executed'],
  ['averagePrice', 'Average price'],
  ['status', 'Status'],
  ['reason', 'Reason'],
  ['clientOrderId', 'Client order id'],
]

/** Looks an order up when it is asked for, and when the address names one: `#order/123`. */
export function createOrderSearch() {
  const input = byId('order-id')
  byId('find').addEventListener('submit', (event) => {
    event.preventDefault()
    const id = input.value.trim()
    if (location.hash === `#order/${id}`) void find(id)
    else location.hash = `order/${id}`
  })
  byId('order-close').addEventListener('click', () => {
    byId('order').hidden = true
    history.replaceState(null, '', location.pathname)
    input.focus()
  })
  const follow = () => {
    const [, id] = /^#order\/([1-9][0-9]*)$/.exec(location.hash) ?? []
    if (id === undefined) return
    input.value = id
    void find(id)
  }
  addEventListener('hashchange', follow)
  follow()
}

let latest

async function find(id, member) {
  latest = id
  const body = byId('order-body')
  setText(byId('order-title'), `Order ${id}`)
  body.replaceChildren(el('p', { class: 'note' }, 'Looking for it …'))
  byId('order').hidden = false
  let shown
  try {
    shown = show(await ask('GET', `/api/orders/${id}${member ? `?member=${encodeURIComponent(member)}` : ''}`))
  } catch (error) {
    shown = [el('p', { class: 'alert', role: 'alert' }, wordsOf(error))]
    if (error instanceof Refused && error.code === 'order_not_found') shown.push(memberForm(id))
  }
  if (latest !== id) return
  body.replaceChildren(...shown)
  byId('order-title').focus({ preventScroll: true })
  byId('order').scrollIntoView({ block: 'nearest' })
}

const wordsOf = (error) => (error instanceof Refused ? error.message : 'The page cannot reach its service.')

function memberForm(id) {
  const input = el('input', { id: 'order-member', inputmode: 'numeric', pattern: '[1-9][0-9]{0,15}', required: true })
  const label = el('label', { for: 'order-member' }, 'Member id ')
  const onsubmit = (event) => {
    event.preventDefault()
    void find(id, input.value)
  }
  return el(
    'form',
    { onsubmit },
    el('h3', {}, 'Look among the orders of a member'),
    label,
    input,
    ' ',
    el('button', {}, 'Look'),
  )
}

function show(way) {
  const { order, steps, isWhole, ledger, trace } = way
  const facts = [
    ...FACTS.flatMap(([name, title]) => (order?.[name] ? [[title, order[name]]] : [])),
    ...(order === null ? [] : [['Fee', `${order.fee} ${order.feeAsset}`]]),
    ['Member', way.memberId],
    ['Slots', `accounts ${way.accountSlot}${way.marketSlot === null ? '' : `, engine ${way.marketSlot}`}`],
    ['Told by', { memory: 'the slot, from memory', mysql: 'MySQL', events: 'its events' }[way.orderFrom]],
    ['In MySQL', way.writtenSequence === null ? 'not there' : `up to ${way.writtenSequence}`],
  ]
  return [
    el(
      'dl',
      { class: 'order-facts' },
      ...facts.map(([title, value]) => el('div', {}, el('dt', {}, title), el('dd', {}, String(value)))),
    ),
    traceLine(trace),
    el('h3', {}, 'Its way'),
    steps.length === 0
      ? el('p', { class: 'note' }, 'The streams do not have its events any more: they were trimmed.')
      : el('ol', { class: 'way' }, ...stepItems(steps)),
    ...(isWhole || steps.length === 0
      ? []
      : [el('p', { class: 'note' }, 'More may have happened in between: the streams were not searched further.')]),
    ...ledgerPart(ledger),
  ]
}

function traceLine(trace) {
  if (trace === null) return el('p', { class: 'note' }, 'No trace: this order was not sampled.')
  if (trace.url === null) return el('p', { class: 'note' }, `Trace ${trace.id}`)
  return el('p', {}, el('a', { href: trace.url, target: '_blank', rel: 'noreferrer' }, `Trace ${trace.id} in Jaeger`))
}

/** Each with the wait before it, as a number and as its place in the whole. */
function stepItems(steps) {
  const first = steps[0].atUs
  const whole = Math.max(1, steps.at(-1).atUs - first)
  return steps.map((step, index) => {
    const before = steps[index - 1]?.atUs ?? first
    const waitedUs = Math.max(0, step.atUs - before)
    const place = [
      step.subject === null ? null : `${step.stream} ${step.subject} ${step.sequence}`,
      step.position === null ? null : `position ${step.position}`,
    ]
    return el(
      'li',
      { 'data-kind': step.kind },
      el('time', { datetime: new Date(step.atUs / 1_000).toISOString() }, exactTime(step.atUs)),
      el(
        'span',
        { class: 'words' },
        step.words,
        el('span', { class: 'place' }, place.filter((part) => part !== null).join(' · ')),
      ),
      el('span', { class: 'number' }, index === 0 ? '' : `+ ${microseconds(waitedUs)}`),
      bar((100 * (before - first)) / whole, (100 * waitedUs) / whole),
    )
  })
}

const SVG = 'http://www.w3.org/2000/svg'

function bar(from, width) {
  const svg = document.createElementNS(SVG, 'svg')
  svg.setAttribute('aria-hidden', 'true')
  const part = (name, x, size) => {
    const rect = document.createElementNS(SVG, 'rect')
    for (const [key, value] of Object.entries({ class: name, x: `${x}%`, width: `${size}%`, height: '100%', rx: 2 })) {
      rect.setAttribute(key, value)
    }
    svg.append(rect)
  }
  part('rail', 0, 100)
  if (width > 0) part('wait', Math.min(from, 99), Math.max(width, 1))
  return svg
}

function ledgerPart(ledger) {
  if (ledger.length === 0) return [el('h3', {}, 'Ledger'), el('p', { class: 'note' }, 'It moved no money.')]
  const table = el('table')
  const box = el('div', {}, table)
  const fill = createTable(table, {
    caption: 'What the order moved',
    empty: '',
    keyOf: ({ position, asset }) => `${position} ${asset}`,
    columns: [
      { title: 'Asset', text: ({ asset }) => asset },
      { title: 'Change', kind: 'number', text: ({ delta }) => (delta.startsWith('-') ? delta : `+${delta}`) },
      { title: 'Fee', kind: 'number', text: ({ fee }) => fee },
      { title: 'Free after it', kind: 'number', text: ({ available }) => available },
      { title: 'Held after it', kind: 'number', text: ({ held }) => held },
      { title: 'At', kind: 'number', text: ({ timeUs }) => exactTime(timeUs) },
      { title: 'Position', kind: 'number', text: ({ position }) => position },
    ],
  })
  fill(ledger)
  return [el('h3', {}, 'Ledger'), box]
}
