import { byId, createTable, el, keep, setAttribute, setText } from './dom.js'
import { bytes, count, dateAndTime, decimal, milliseconds, percent, rate, seconds } from './format.js'
import { createInstanceDialog } from './instance.js'

/** Of a table of streams. */
const STREAMS = {
  keyOf: ({ name }) => name,
  columns: [
    { title: 'Stream', text: ({ name }) => name },
    { title: 'Messages', kind: 'number', text: ({ messages }) => count(messages) },
    { title: 'Size', kind: 'number', text: (stream) => bytes(stream.bytes) },
    { title: 'Last', kind: 'number', text: ({ lastSequence }) => count(lastSequence) },
    { title: 'New', kind: 'number', text: ({ perSecond }) => `${rate(perSecond)}/s` },
    { title: 'Readers', kind: 'number', text: ({ readers }) => count(readers) },
    {
      title: 'Copies',
      kind: 'number',
      state: ({ late }) => (late.length > 0 ? 'late' : null),
      text: ({ replicas, late }) => (late.length > 0 ? `${replicas}, late: ${late.join(', ')}` : `${replicas}`),
    },
    { title: 'Leader', text: ({ leader }) => leader ?? '' },
  ],
}

/** The tables and lists below the overview. Returns what fills them. `onSnapshot(slot, button)`: somebody wants one. */
export function createTables(onSnapshot) {
  const dialog = createInstanceDialog()
  const instances = createTable(byId('instances-table'), {
    caption: 'Every instance of every service',
    empty: 'No instance answers.',
    keyOf: ({ instance }) => instance,
    columns: [
      { title: 'Instance', fill: (cell, instance) => fillName(cell, instance, dialog.open) },
      { title: 'State', state: ({ state }) => state, text: stateOfInstance },
      { title: 'Up', kind: 'number', text: ({ upS }) => (upS === null ? '' : seconds(upS)) },
      { title: 'CPU', kind: 'number', text: ({ cpuPercent }) => percent(cpuPercent) },
      { title: 'Loop', kind: 'number', text: ({ busyPercent }) => percent(busyPercent) },
      { title: 'Memory', kind: 'number', text: ({ rssBytes, state }) => (state === 'gone' ? '' : bytes(rssBytes)) },
      { title: 'Runs', text: ({ owns }) => owns.join(', ') },
      { title: 'Version', kind: 'whole', text: ({ version }) => version },
      { title: 'Where', kind: 'whole', text: ({ host, pid }) => `${host}:${pid}` },
    ],
  })
  const slots = createTable(byId('slots-table'), {
    caption: 'Slots of the state machines, and who runs them',
    empty: 'No slots.',
    keyOf: ({ service, slot }) => `${service} ${slot}`,
    columns: [
      { title: 'Slot', text: ({ service, slot }) => `${service} ${slot}` },
      { title: 'State', state: ({ state }) => state, text: stateOfSlot },
      { title: 'Owner', text: ({ owner }) => owner ?? '' },
      { title: 'Epoch', kind: 'number', text: ({ epoch }) => count(epoch) },
      { title: 'Applied', kind: 'number', text: ({ applied }) => count(applied) },
      { title: 'Stored', kind: 'number', text: ({ stored }) => count(stored) },
      { title: 'Followed by', text: ({ followers }) => followers.join(', ') },
      { title: '', fill: (cell, slot) => fillSnapshot(cell, slot, onSnapshot) },
    ],
  })
  const streams = createTable(byId('streams-table'), {
    caption: 'The logs, and the stream of events',
    empty: 'NATS tells of no streams.',
    ...STREAMS,
  })
  const buckets = createTable(byId('buckets-table'), {
    caption: 'Buckets and object stores of NATS',
    empty: 'NATS tells of none.',
    ...STREAMS,
  })
  const consumers = createTable(byId('consumers-table'), {
    caption: 'Who reads the logs',
    empty: 'Nobody reads.',
    keyOf: ({ stream, subject }) => `${stream} ${subject}`,
    columns: [
      { title: 'Subject', text: ({ subject }) => subject },
      { title: 'Stream', text: ({ stream }) => stream },
      { title: 'Readers', kind: 'number', text: ({ readers }) => count(readers) },
      { title: 'To read', kind: 'number', text: ({ pending }) => count(pending) },
    ],
  })
  const projections = createTable(byId('projections-table'), {
    caption: 'How far behind what is written is',
    empty: 'Nothing is written.',
    keyOf: ({ name }) => name,
    columns: [
      { title: 'Name', text: ({ name }) => name },
      { title: 'State', state: ({ failing }) => (failing.length > 0 ? 'halted' : 'ok'), text: stateOfProjection },
      { title: 'Behind', kind: 'number', text: ({ lagMs }) => milliseconds(lagMs) },
      { title: 'Written by', text: ({ writers }) => writers.join(', ') },
    ],
  })
  const books = createTable(byId('books-table'), {
    caption: 'The books of all account slots by asset',
    empty: 'No slot tells its books.',
    keyOf: ({ asset }) => asset,
    columns: [
      { title: 'Asset', text: ({ asset }) => asset },
      {
        title: 'State',
        state: ({ differsIn }) => (differsIn.length > 0 ? 'differs' : 'ok'),
        text: ({ differsIn }) => (differsIn.length > 0 ? `differ in accounts ${differsIn.join(', ')}` : 'sum to zero'),
      },
      { title: 'Deposited', kind: 'number', text: ({ deposited }) => decimal(deposited) },
      { title: 'Members', kind: 'number', text: ({ members }) => decimal(members) },
      { title: 'Fees', kind: 'number', text: ({ fees }) => decimal(fees) },
      { title: 'Under way', kind: 'number', text: ({ underWay }) => decimal(underWay) },
    ],
  })
  const markets = createTable(byId('markets-table'), {
    caption: 'Orders and trades by market',
    empty: 'No market has had an order.',
    keyOf: ({ instrument }) => instrument,
    columns: [
      { title: 'Market', text: ({ instrument }) => instrument },
      { title: 'Orders', kind: 'number', text: ({ orders }) => count(orders) },
      { title: 'Trades', kind: 'number', text: ({ trades }) => count(trades) },
    ],
  })

  return (state) => {
    const upOf = ({ state: is, startedAt }) => (is === 'gone' ? null : (state.atMs - Date.parse(startedAt)) / 1_000)
    instances(state.instances.map((one) => ({ ...one, upS: upOf(one) })))
    dialog.update(state.instances)
    slots(state.slots)
    const isLog = ({ name }) => !/^(KV|OBJ)_/.test(name)
    streams(state.streams.filter(isLog))
    buckets(state.streams.filter((stream) => !isLog(stream)))
    consumers(state.consumers)
    projections(byProjection(state.projections))
    books(state.books)
    markets(state.trading.markets)
    showServers(state.servers)
    showAlarms(state.alarms)
  }
}

function stateOfInstance({ state, waitsFor, goneS }) {
  if (state === 'gone') return `gone for ${seconds(goneS)}`
  return state === 'waiting' ? `waits for ${waitsFor.join(', ')}` : 'ready'
}

function stateOfSlot({ state, halted }) {
  if (state === 'halted') return `halted: ${halted.code} at ${halted.sequence}. ${halted.reason}`
  return { ok: 'ok', behind: 'behind', ownerless: 'no owner' }[state]
}

/** One row for all slots of a projection: the slowest says how late it is. */
function byProjection(slots) {
  return [...Map.groupBy(slots, ({ name }) => name)].map(([name, own]) => ({
    name,
    slots: own.length,
    lagMs: Math.max(...own.map(({ lagMs }) => lagMs)),
    failing: own.filter(({ error }) => error !== ''),
    writers: [...new Set(own.map(({ instance }) => instance))].sort(),
  }))
}

function stateOfProjection({ slots, failing }) {
  if (failing.length > 0) return failing.map(({ slot, error }) => `${slot}: ${error}`).join(', ')
  return slots === 1 ? '1 slot' : `${slots} slots`
}

/** A button, which opens the instance as it is then. */
function fillName(cell, instance, open) {
  let button = cell.firstElementChild
  if (button === null) {
    button = el('button', { class: 'name', type: 'button', 'aria-haspopup': 'dialog' }, instance.instance)
    button.addEventListener('click', () => open(cell.shown))
    cell.append(button)
  }
  cell.shown = instance
}

function fillSnapshot(cell, slot, onSnapshot) {
  const button = cell.firstElementChild ?? el('button', { class: 'quiet', type: 'button' }, 'Snapshot')
  if (cell.firstElementChild === null) {
    button.setAttribute('aria-label', `Take a snapshot of ${slot.service} ${slot.slot} now`)
    button.addEventListener('click', () => onSnapshot(slot, button))
    cell.append(button)
  }
}

function showServers(servers) {
  keep(
    byId('servers-list'),
    servers,
    ({ name }) => name,
    ({ name }) =>
      el(
        'div',
        {},
        el('h3', {}, el('span', { class: 'dot' }), name),
        el('dl', { class: 'facts' }),
        el('p', { class: 'note' }),
      ),
    (element, { state, words, facts }) => {
      setAttribute(element, 'data-state', state)
      const [, list, note] = element.children
      keep(
        list,
        facts,
        ([name]) => name,
        ([name]) => el('div', {}, el('dt', {}, name), el('dd')),
        (fact, [, value]) => setText(fact.lastElementChild, value),
      )
      setText(note, state === 'down' ? `down: ${words}` : words)
      note.hidden = words === ''
    },
  )
}

function showAlarms(alarms) {
  const list = byId('alarms-list')
  if (alarms.length === 0) {
    keep(
      list,
      ['none'],
      String,
      () => el('p', { class: 'note' }, 'None was raised, as far back as they are kept.'),
      () => {},
    )
    return
  }
  keep(
    list,
    alarms,
    ({ at, kind, instance }) => `${at} ${kind} ${instance}`,
    ({ at, level, kind, instance, message, details, held }) =>
      el(
        'li',
        { 'data-level': level },
        el('p', {}, message),
        el(
          'p',
          { class: 'note' },
          `${dateAndTime(at)} · ${instance} · ${kind}${held > 0 ? ` · ${held} more before` : ''}`,
        ),
        el('p', { class: 'note' }, details),
      ),
    () => {},
  )
}
