/**
 * An element of the page that must be there.
 * @template {HTMLElement} [Kind=HTMLElement]
 * @param {string} id
 * @returns {Kind}
 */
export function byId(id) {
  const found = document.getElementById(id)
  if (found === null) throw new Error(`There is no #${id}.`)
  return /** @type {Kind} */ (found)
}

/**
 * Everything becomes text: nothing that comes over the wire is ever read as HTML.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Readonly<Record<string, string>>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/**
 * Writes only what is another.
 * @param {Node} node
 * @param {string} text
 */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/**
 * Draws once in the next frame, however often it was asked to.
 * @param {() => void} draw
 */
export function drawSoon(draw) {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    requestAnimationFrame(() => {
      isDue = false
      draw()
    })
  }
}

/**
 * Brings the children of an element in line with a list. A row stays the same element as long as its key is there, so that
 * whoever has put the focus into it keeps it.
 * @template Item
 * @param {HTMLElement} parent
 * @param {readonly Item[]} items
 * @param {(item: Item) => string} keyOf
 * @param {(item: Item) => HTMLElement} make
 * @param {(row: HTMLElement, item: Item) => void} update
 */
export function syncRows(parent, items, keyOf, make, update) {
  const rows = new Map(
    [...parent.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.key, /** @type {HTMLElement} */ (row)]),
  )
  /** @type {Element | null} */
  let place = parent.firstElementChild
  for (const item of items) {
    const key = keyOf(item)
    let row = rows.get(key)
    rows.delete(key)
    if (row === undefined) {
      row = make(item)
      row.dataset.key = key
    }
    update(row, item)
    if (row === place) place = place.nextElementSibling
    else parent.insertBefore(row, place)
  }
  for (const row of rows.values()) row.remove()
}
