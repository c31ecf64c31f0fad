const warnLevel = 40
const errorLevel = 50
const linesPerSecondMax = 5

export type Notable = { severity: 'warning' | 'failure'; text: string }

/** What of a service's output belongs on the screen: warnings and errors, and whatever is not a log line. */
export function notable(line: string): Notable | undefined {
  const entry = parseLogLine(line)
  if (entry === undefined) return line.trim() === '' ? undefined : { severity: 'warning', text: line }
  if (entry.level < warnLevel) return undefined
  const text = [entry.msg, entry.err?.message].filter(Boolean).join(': ')
  return { severity: entry.level >= errorLevel ? 'failure' : 'warning', text }
}

type LogLine = { level: number; msg?: string; err?: { message?: string } }

function parseLogLine(line: string): LogLine | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const entry = JSON.parse(line)
    return typeof entry.level === 'number' ? entry : undefined
  } catch {
    return undefined
  }
}

/** Lets a few lines a second through, and then says once how many it kept back. */
export function throttled(show: (notable: Notable) => void, nowMs: () => number = () => performance.now()) {
  let secondBeganMs = Number.NEGATIVE_INFINITY
  let shown = 0
  let hidden = 0
  return (one: Notable): void => {
    if (nowMs() - secondBeganMs >= 1000) {
      if (hidden > 0) show({ severity: 'warning', text: `… and ${hidden} lines more, in its log` })
      secondBeganMs = nowMs()
      shown = 0
      hidden = 0
    }
    if (shown < linesPerSecondMax) {
      shown++
      show(one)
    } else hidden++
  }
}
