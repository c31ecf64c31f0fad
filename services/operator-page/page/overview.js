import { byId, el, keep, setAttribute, setText } from './dom.js'
import { count, milliseconds, NONE, rate, timeOfDay } from './format.js'

const CHART = { width: 300, height: 48, ms: 300_000 }
/** Where nobody looked for so long there is no line. */
const GAP_MS = 10_000

/** The verdict, the problems and the figures at the top. */
export function showOverview(state) {
  showVerdict(state.problems)
  showTrading(state.trading)
  showInstances(state.instances)
  showSlots(state.slots)
  const lags = state.projections.map(({ lagMs }) => lagMs)
  figure(
    'lag',
    lags.length === 0 ? NONE : milliseconds(Math.max(...lags)),
    Math.max(0, ...lags) > 5_000 ? 'warn' : null,
  )
  const slowest = state.consumers.toSorted((a, b) => b.pending - a.pending)[0]
  const pending = slowest?.pending ?? null
  figure('pending', count(pending), pending > 10_000 ? 'warn' : null)
  setText(byId('pending-note'), pending ? `for a reader of ${slowest.subject}` : 'for the slowest reader')
  setText(byId('version'), state.version)
  setText(byId('admin'), state.admin)
  setText(byId('looked'), `Looked at ${timeOfDay(state.atMs)}.`)
  showLinks(state.links)
}

function showVerdict(problems) {
  const bad = problems.filter(({ severity }) => severity === 'bad').length
  const verdict = byId('verdict')
  setAttribute(verdict, 'data-state', bad > 0 ? 'bad' : problems.length > 0 ? 'warn' : 'good')
  const words =
    problems.length === 0 ? 'All is well' : problems.length === 1 ? '1 problem' : `${problems.length} problems`
  setText(byId('verdict-words'), words)
  document.title = problems.length === 0 ? 'Exchange operator' : `(${problems.length}) Exchange operator`
  const list = byId('problems')
  list.hidden = problems.length === 0
  keep(
    list,
    problems,
    ({ words: own }) => own,
    ({ about, words: own }) => el('li', {}, el('a', { href: `#${about}` }, el('span', { class: 'dot' }), own)),
    (item, { severity }) => setAttribute(item, 'data-severity', severity),
  )
}

function showTrading({ ordersPerSecond, tradesPerSecond, markets, history }) {
  figure('orders-rate', rate(ordersPerSecond))
  figure('trades-rate', rate(tradesPerSecond))
  const trades = markets.reduce((sum, market) => sum + market.trades, 0)
  const orders = markets.reduce((sum, market) => sum + market.orders, 0)
  setText(byId('orders-note'), `${count(orders)} in all`)
  setText(byId('trades-note'), `${count(trades)} in all`)
  drawChart(byId('orders-chart'), history)
}

/** Each stretch without a gap is a line of its own. */
function drawChart(chart, history) {
  const { width, height, ms } = CHART
  const endMs = history.at(-1)?.[0] ?? 0
  const most = Math.max(1, ...history.map(([, value]) => value))
  const point = ([atMs, value]) => [
    (width * (1 - (endMs - atMs) / ms)).toFixed(1),
    (height - 2 - ((height - 4) * value) / most).toFixed(1),
  ]
  const stretches = []
  let lastMs = Number.NEGATIVE_INFINITY
  for (const each of history) {
    if (each[0] - lastMs > GAP_MS) stretches.push([])
    stretches.at(-1).push(point(each))
    lastMs = each[0]
  }
  const lines = stretches.map((points) => `M${points.map((xy) => xy.join(' ')).join('L')}`)
  const areas = stretches.map(
    (points, index) => `${lines[index]}L${points.at(-1)[0]} ${height}L${points[0][0]} ${height}Z`,
  )
  const [area, line] = chart.children
  setAttribute(line, 'd', lines.join(''))
  setAttribute(area, 'd', areas.join(''))
  setAttribute(chart, 'aria-label', `Orders a second in the last five minutes; ${rate(most)} at most`)
}

function showInstances(instances) {
  const ready = instances.filter(({ state }) => state === 'ready').length
  const there = instances.filter(({ state }) => state !== 'gone').length
  figure('instances-ready', `${ready} / ${there}`, ready < there ? 'warn' : null)
  const gone = instances.length - there
  setText(byId('instances-note'), gone === 0 ? 'are ready' : `are ready; ${gone} gone`)
}

function showSlots(slots) {
  const owned = slots.filter(({ owner, state }) => owner !== null && state !== 'halted').length
  figure('slots-owned', `${owned} / ${slots.length}`, owned < slots.length ? 'bad' : null)
  const halted = slots.filter(({ state }) => state === 'halted').length
  setText(byId('slots-note'), halted === 0 ? 'have an owner' : `have an owner; ${halted} halted`)
}

function showLinks(links) {
  const nav = byId('links')
  nav.hidden = links.length === 0
  keep(
    nav,
    links,
    ({ name }) => name,
    ({ name, url }) => el('a', { href: url, target: '_blank', rel: 'noreferrer' }, name),
    () => {},
  )
}

function figure(id, text, state = null) {
  const element = byId(id)
  setText(element, text)
  setAttribute(element, 'data-state', state)
}
