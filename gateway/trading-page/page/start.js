// Not a module: it runs before anything is painted, so that a chosen scheme never flashes, and before anything can fail to load.
try {
  const chosen = localStorage.getItem('exchange.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // A browser that keeps nothing follows the system.
}

const RELOAD_AFTER_MS = 2_000

// On the way from one network to another files get lost, and a page without one of its modules is none.
addEventListener(
  'error',
  ({ target }) => {
    const isModule = target instanceof HTMLScriptElement && target.type === 'module'
    const isStyle = target instanceof HTMLLinkElement && target.rel === 'stylesheet'
    if (!isModule && !isStyle) return
    const banner = document.getElementById('banner')
    if (banner !== null) banner.textContent = 'A part of the page did not arrive. Loading it again…'
    setTimeout(() => location.reload(), RELOAD_AFTER_MS)
  },
  true,
)
