// What the page keeps in the browser. Where it may not, it does without.

/** @param {string} key */
export function read(key) {
  try {
    return localStorage.getItem(`exchange.${key}`)
  } catch {
    return null
  }
}

/**
 * @param {string} key
 * @param {string | undefined} value nothing: it is taken away
 */
export function keep(key, value) {
  try {
    if (value === undefined) localStorage.removeItem(`exchange.${key}`)
    else localStorage.setItem(`exchange.${key}`, value)
  } catch {
    // It lives as long as the page.
  }
}

export function canKeep() {
  keep('try', 'yes')
  const can = read('try') === 'yes'
  keep('try', undefined)
  return can
}
