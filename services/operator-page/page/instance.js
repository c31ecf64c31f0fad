import { byId, createTable, el, keep, setText } from './dom.js'
import { bytes, dateAndTime, percent } from './format.js'

/** One instance, with all that it says of itself. Returns what opens it, and what keeps it up to date. */
export function createInstanceDialog() {
  const dialog = byId('instance')
  const fillChecks = createTable(byId('instance-checks'), {
    caption: 'Checks of its health',
    empty: 'It says nothing.',
    keyOf: ({ name }) => name,
    columns: [
      { title: 'Check', text: ({ name }) => name },
      { title: 'State', state: ({ isOk }) => (isOk ? 'ok' : 'waiting'), text: ({ isOk }) => (isOk ? 'ok' : 'fails') },
      { title: 'Says', text: ({ detail }) => detail },
    ],
  })
  let shown

  const show = (instance) => {
    setText(byId('instance-name'), instance.instance)
    const facts = [
      ['Service', instance.service],
      ['Version', instance.version],
      ['Node', instance.node],
      ['Host and process', `${instance.host}:${instance.pid}`],
      ['Started', dateAndTime(Date.parse(instance.startedAt))],
      ['CPU', percent(instance.cpuPercent)],
      ['Event loop', percent(instance.busyPercent)],
      ['Memory', bytes(instance.rssBytes)],
      ['Runs', instance.owns.join(', ') || 'no slots'],
    ]
    keep(
      byId('instance-facts'),
      facts,
      ([title]) => title,
      ([title]) => el('div', {}, el('dt', {}, title), el('dd')),
      (fact, [, value]) => setText(fact.lastElementChild, value),
    )
    fillChecks(instance.checks)
  }
  return {
    open: (instance) => {
      shown = instance.instance
      show(instance)
      dialog.showModal()
    },
    update: (instances) => {
      const instance = dialog.open ? instances.find(({ instance: name }) => name === shown) : undefined
      if (instance !== undefined) show(instance)
    },
  }
}
