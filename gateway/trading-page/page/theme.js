// Not a module: it runs before anything is painted, so that a chosen scheme never flashes.
try {
  const chosen = localStorage.getItem('exchange.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
} catch {
  // A browser that keeps nothing follows the system.
}
