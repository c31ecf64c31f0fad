/** An element with attributes and children; texts are texts, never HTML. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value)
    else element.setAttribute(name, value === true ? '' : value)
  }
  element.append(...children)
  return element
}

export const byId = (id) => document.getElementById(id)

/** What is the same stays as it is: a selection, a screen reader's place. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name)
  else if (element.getAttribute(name) !== value) element.setAttribute(name, value)
}

/**
 * Brings children in line with a list, by key: what was there stays the same element, in place.
 * `make(item)` makes one, `update(element, item)` fills it.
 */
export function keep(parent, items, keyOf, make, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]))
  const wanted = items.map((item) => {
    const key = keyOf(item)
    let element = known.get(key)
    if (element === undefined) {
      element = make(item)
      element.dataset.key = key
    }
    known.delete(key)
    update(element, item)
    return element
  })
  for (const left of known.values()) left.remove()
  for (const [index, element] of wanted.entries()) {
    if (parent.children[index] !== element) parent.insertBefore(element, parent.children[index] ?? null)
  }
}

/**
 * A table that is filled again and again. A column is `{ title, text(row), kind?, state?(row), fill?(cell, row) }`;
 * `kind: 'number'` stands to the right, `kind: 'whole'` is never broken.
 */
export function createTable(table, { caption, columns, keyOf, empty }) {
  const headings = columns.map(({ title, kind }) =>
    title === '' ? el('td') : el('th', { scope: 'col', class: kind ?? null }, title),
  )
  const body = el('tbody')
  const none = el('p', { class: 'note', hidden: true }, empty)
  table.append(el('caption', { class: 'hidden' }, caption), el('thead', {}, el('tr', {}, ...headings)), body)
  table.after(none)
  const makeRow = () => {
    const cells = columns.map(({ title, kind }, index) =>
      el(index === 0 ? 'th' : 'td', { 'data-label': title, class: kind ?? null, scope: index === 0 ? 'row' : null }),
    )
    return el('tr', {}, ...cells)
  }
  const fillRow = (row, item) => {
    for (const [index, { text, state, fill }] of columns.entries()) {
      const cell = row.children[index]
      if (state !== undefined) setAttribute(cell, 'data-state', state(item))
      if (fill !== undefined) fill(cell, item)
      else setText(cell, text(item))
    }
  }
  return (items) => {
    none.hidden = items.length > 0
    table.hidden = items.length === 0
    keep(body, items, keyOf, makeRow, fillRow)
  }
}
