import { byId, element } from './dom.js'

const SHOWN_MS = 6_000
const NOTICES_MAX = 4

/**
 * A short notice in a corner, read out by screen readers. It stays while the pointer or the focus is on it.
 * @param {string} text
 * @param {'good' | 'bad' | 'plain'} [kind]
 * @returns {HTMLElement}
 */
export function notify(text, kind = 'plain') {
  const list = byId('notices')
  const notice = element('p', { class: `notice ${kind}` }, text)
  list.append(notice)
  while (list.children.length > NOTICES_MAX) list.firstElementChild?.remove()
  const leave = () => {
    if (notice.matches(':hover')) setTimeout(leave, 1_000)
    else notice.remove()
  }
  setTimeout(leave, SHOWN_MS)
  return notice
}
