/**
 * A dialog closes by Escape, by its own button, and by a click beside it.
 */
export function wireDialogs() {
  for (const dialog of document.querySelectorAll('dialog')) {
    dialog.addEventListener('click', ({ target, clientX, clientY }) => {
      const isClose = target instanceof HTMLElement && target.dataset.close !== undefined
      const { left, right, top, bottom } = dialog.getBoundingClientRect()
      const isBeside = target === dialog && (clientX < left || clientX > right || clientY < top || clientY > bottom)
      if (isClose || isBeside) dialog.close()
    })
  }
}
