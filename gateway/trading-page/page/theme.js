// Not a module: it runs before anything is painted, so that a chosen scheme never flashes.
;(() => {
  const chosen = localStorage.getItem('exchange.theme')
  if (chosen === 'light' || chosen === 'dark') document.documentElement.dataset.theme = chosen
})()
