import { ask, Refused } from './api.js'
import { byId, setText } from './dom.js'
import { bytes, milliseconds, timeOfDay } from './format.js'
import { createOrderSearch } from './order.js'
import { showOverview } from './overview.js'
import { createTables } from './tables.js'

const LOOK_MS = 1_000
const RETRY_MS = 2_000
const ACTION_MS_MAX = 310_000
/** How long it is shown what came of something. */
const SAID_MS = 8_000

const showTables = createTables(takeSnapshot)
let seenAtMs
let links = []

/** Once a second, and not while nobody sees the page. */
async function look() {
  if (document.hidden) return
  let pauseMs = LOOK_MS
  try {
    const state = await ask('GET', '/api/state')
    seenAtMs = Date.now()
    links = state.links
    showOverview(state)
    showTables(state)
    setContact('')
  } catch (error) {
    pauseMs = RETRY_MS
    const since = seenAtMs === undefined ? '' : ` What you see is of ${timeOfDay(seenAtMs)}.`
    setContact(`${error instanceof Refused ? error.message : 'The page cannot reach its service.'}${since}`)
  }
  clearTimeout(timer)
  timer = setTimeout(look, pauseMs)
}
let timer

document.addEventListener('visibilitychange', () => {
  clearTimeout(timer)
  void look()
})

function setContact(words) {
  byId('contact').hidden = words === ''
  setText(byId('contact'), words)
  byId('content').classList.toggle('stale', words !== '')
}

/** Runs it while its button waits, and says what came of it. */
async function act(button, place, path, body, wordsOf) {
  button.disabled = true
  setText(place, 'Under way …')
  try {
    setText(place, wordsOf(await ask('POST', path, body, ACTION_MS_MAX)))
  } catch (error) {
    setText(place, error instanceof Refused ? error.message : 'The page cannot reach its service.')
  } finally {
    button.disabled = false
  }
}

let forgetting

function takeSnapshot({ service, slot }, button) {
  const said = byId('said')
  const wordsOf = ({ bytes: size, ms }) =>
    `Snapshot of ${service} ${slot} taken: ${bytes(size)} in ${milliseconds(ms)}.`
  clearTimeout(forgetting)
  void act(button, said, '/api/actions/snapshot', { service, slot }, wordsOf).then(() => {
    forgetting = setTimeout(() => setText(said, ''), SAID_MS)
  })
}

byId('test-alert').addEventListener('click', ({ currentTarget }) => {
  const wordsOf = ({ deliveredTo }) => `Delivered to ${deliveredTo.join(', ')}.`
  void act(currentTarget, byId('test-alert-said'), '/api/actions/test-alert', {}, wordsOf)
})

createOrderSearch(() => links)
void look()
