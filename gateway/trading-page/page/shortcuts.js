import { byId, element } from './dom.js'
import { keep, read } from './kept.js'

/**
 * @typedef {object} Shortcut
 * @property {string} key
 * @property {string} words
 * @property {() => void} act
 */

const KEY = 'keys'

/**
 * Single keys act where nothing is being written and no dialog is open. They can be turned off, for those who speak to
 * their computer.
 * @param {readonly Shortcut[]} shortcuts
 */
export function wireShortcuts(shortcuts) {
  const dialog = /** @type {HTMLDialogElement} */ (byId('help-dialog'))
  const help = { key: '?', words: 'This list', act: () => dialog.showModal() }
  const all = [...shortcuts, help]
  byId('keys').replaceChildren(
    ...all.map(({ key, words }) =>
      element('div', {}, element('dt', {}, element('kbd', {}, key)), element('dd', {}, words)),
    ),
    element(
      'div',
      {},
      element('dt', {}, element('kbd', {}, '↑'), ' ', element('kbd', {}, '↓')),
      element('dd', {}, 'In price and amount: a step; with Shift ten'),
    ),
    element(
      'div',
      {},
      element('dt', {}, element('kbd', {}, 'Enter')),
      element('dd', {}, 'In the form: send the order'),
    ),
    element(
      'div',
      {},
      element('dt', {}, element('kbd', {}, 'Esc')),
      element('dd', {}, 'Leave a field, close a dialog'),
    ),
  )
  const isOn = /** @type {HTMLInputElement} */ (byId('keys-on'))
  isOn.checked = read(KEY) !== 'off'
  isOn.addEventListener('change', () => keep(KEY, isOn.checked ? 'on' : 'off'))
  byId('help-button').addEventListener('click', help.act)
  addEventListener('keydown', (event) => {
    const { target, key } = event
    const isWriting =
      target instanceof HTMLElement && target.matches('input:not([type=radio], [type=checkbox]), select, textarea')
    if (key === 'Escape' && isWriting && target.closest('dialog') === null) {
      target.blur()
      return
    }
    const isBusy =
      event.ctrlKey || event.metaKey || event.altKey || event.repeat || document.querySelector('dialog[open]') !== null
    if (isWriting || isBusy || !isOn.checked) return
    const found = all.find((one) => one.key === key.toLowerCase())
    if (found === undefined) return
    event.preventDefault()
    found.act()
  })
}
