import { ask, Refused } from './api.js'
import { byId, createTable, el, setText } from './dom.js'
import { decimal, exactTime, microseconds } from './format.js'

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

const HOUR_US = 3_600_000_000

/** Looks an order up when it is asked for, and when the address names one: `#order/123`. `links()`: those that are there. */
export function createOrderSearch(links) {
  const input = byId('order-id')
  const section = byId('order')
  const body = byId('order-body')
  let latest

  const find = async (id, member) => {
    latest = id
    setText(byId('order-title'), `Order ${id}`)
    body.replaceChildren(el('p', { class: 'note' }, 'Looking for it …'))
    section.hidden = false
    const shown = await lookUp(id, member)
    if (latest !== id) return
    body.replaceChildren(...shown)
    byId('order-title').focus({ preventScroll: true })
    section.scrollIntoView({ block: 'nearest' })
  }
  const lookUp = async (id, member) => {
    try {
      const way = await ask('GET', `/api/orders/${id}${member ? `?member=${encodeURIComponent(member)}` : ''}`)
      const jaeger = links().find(({ name }) => name === 'Jaeger')
      return show(way, jaeger)
    } catch (error) {
      const words = error instanceof Refused ? error.message : 'The page cannot reach its service.'
      const said = el('p', { class: 'alert', role: 'alert' }, words)
      return error instanceof Refused && error.code === 'order_not_found'
        ? [said, memberForm((asked) => find(id, asked))]
        : [said]
    }
  }
  const follow = () => {
    const [, id] = /^#order\/([1-9][0-9]*)$/.exec(location.hash) ?? []
    if (id === undefined) return
    input.value = id
    void find(id)
  }
  byId('find').addEventListener('submit', (event) => {
    event.preventDefault()
    const id = input.value.trim()
    if (location.hash === `#order/${id}`) void find(id)
    else location.hash = `order/${id}`
  })
  byId('order-close').addEventListener('click', () => {
    latest = undefined
    section.hidden = true
    history.replaceState(null, '', location.pathname)
    input.focus()
  })
  addEventListener('hashchange', follow)
  follow()
}

function memberForm(onMember) {
  const input = el('input', { id: 'order-member', inputmode: 'numeric', pattern: '[1-9][0-9]{0,15}', required: true })
  const label = el('label', { for: 'order-member' }, 'Member id ')
  const onsubmit = (event) => {
    event.preventDefault()
    void onMember(input.value)
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

function show(way, jaeger) {
  const { order, steps, isWhole, ledger } = way
  const facts = [
    ...FACTS.flatMap(([name, title]) => (order?.[name] ? [[title, order[name]]] : [])),
    ...(order === null ? [] : [['Fee', `${order.fee} ${order.feeAsset}`]]),
    ['Member', way.memberId],
    ['Slots', `accounts ${way.accountSlot}${way.marketSlot === null ? '' : `, engine ${way.marketSlot}`}`],
    ['Told by', { memory: "the slot's memory", mysql: 'MySQL', events: 'its events' }[way.orderFrom]],
    ['In MySQL', way.writtenSequence === null ? 'not there' : `up to ${way.writtenSequence}`],
  ]
  return [
    el(
      'dl',
      { class: 'order-facts' },
      ...facts.map(([title, value]) => el('div', {}, el('dt', {}, title), el('dd', {}, String(value)))),
    ),
    traceLine(way, jaeger),
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

/** Whoever was slow or failed has a trace without having been sampled: Jaeger knows by the order's id. */
function traceLine({ traceId, orderId, steps }, jaeger) {
  if (jaeger === undefined) {
    return el('p', { class: 'note' }, traceId === null ? 'No trace: this order was not sampled.' : `Trace ${traceId}`)
  }
  const start = (steps[0]?.atUs ?? Date.now() * 1_000) - HOUR_US
  const end = (steps.at(-1)?.atUs ?? Date.now() * 1_000) + HOUR_US
  const tags = JSON.stringify({ 'exchange.order.id': orderId })
  const search = new URLSearchParams({ service: 'gateway', tags, start, end, lookback: 'custom', limit: 20 })
  const path = traceId === null ? `search?${search}` : `trace/${traceId}`
  const words = traceId === null ? 'Not sampled: look for it in Jaeger' : 'Its trace in Jaeger'
  return el('p', {}, el('a', { href: new URL(path, jaeger.url).href, target: '_blank', rel: 'noreferrer' }, words))
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
      {
        title: 'Change',
        kind: 'number',
        text: ({ delta }) => (delta.startsWith('-') ? decimal(delta) : `+${decimal(delta)}`),
      },
      { title: 'Fee', kind: 'number', text: ({ fee }) => decimal(fee) },
      { title: 'Free after it', kind: 'number', text: ({ available }) => decimal(available) },
      { title: 'Held after it', kind: 'number', text: ({ held }) => decimal(held) },
      { title: 'At', kind: 'number', text: ({ timeUs }) => exactTime(timeUs) },
      { title: 'Position', kind: 'number', text: ({ position }) => position },
    ],
  })
  fill(ledger)
  return [el('h3', {}, 'Ledger'), box]
}
