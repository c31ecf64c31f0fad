/** What a person sees: one line per thing that happened, with the seconds since the start. */
export type Screen = {
  done(title: string, detail?: string): void
  working(title: string, detail?: string): void
  warning(title: string, detail?: string): void
  failure(title: string, detail?: string): void
  /** Text as it is. */
  text(text: string): void
}

const colors = { green: 32, yellow: 33, red: 31, gray: 90 } as const

export function createScreen(write: (text: string) => void, colored: boolean): Screen {
  const startedMs = performance.now()
  const paint = (color: keyof typeof colors, text: string) =>
    colored ? `\u001b[${colors[color]}m${text}\u001b[0m` : text
  const line = (color: keyof typeof colors, mark: string) => (title: string, detail?: string) => {
    const seconds = `${((performance.now() - startedMs) / 1000).toFixed(1)} s`.padStart(8)
    const rest = detail === undefined ? '' : ` ${detail}`
    write(`${paint('gray', seconds)}  ${paint(color, mark)} ${title.padEnd(11)}${rest}\n`)
  }
  return {
    done: line('green', '✔'),
    working: line('gray', '·'),
    warning: line('yellow', '!'),
    failure: line('red', '✖'),
    text: (text) => write(text.endsWith('\n') ? text : `${text}\n`),
  }
}

export const terminal = (): Screen => createScreen((text) => process.stdout.write(text), process.stdout.isTTY ?? false)
