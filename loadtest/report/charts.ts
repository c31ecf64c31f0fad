/** Charts as SVG text, drawn with the colours of the page: `var(--series-1)` and so on. */

const WIDTH = 960
const HEIGHT = 260
const LEFT = 56
const RIGHT = 16
const TOP = 12
const BOTTOM = 30

export interface Line {
  readonly name: string
  readonly color: string
  readonly values: readonly number[]
}

/** Lines over seconds. `wanted` draws a dashed level; `fill` shades below the first line. */
export function lineChart(options: {
  readonly title: string
  readonly at: readonly number[]
  readonly lines: readonly Line[]
  readonly unit: string
  readonly wanted?: number
  readonly fill?: boolean
}): string {
  const { at, lines, unit, wanted } = options
  const highest = Math.max(wanted ?? 0, ...lines.flatMap(({ values }) => values))
  const scale = ticksTo(highest)
  const top = scale.at(-1) ?? 1
  const end = Math.max(1, at.at(-1) ?? 1)
  const x = (second: number): number => LEFT + (second / end) * (WIDTH - LEFT - RIGHT)
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM)
  const path = (values: readonly number[]): string =>
    values
      .map((value, index) => `${index === 0 ? 'M' : 'L'}${x(at[index] ?? 0).toFixed(1)} ${y(value).toFixed(1)}`)
      .join('')
  const grid = scale.map((tick) => rule(y(tick), `${plain(tick)}`)).join('')
  const seconds = ticksTo(end).filter((tick) => tick <= end)
  const marks = seconds
    .map((tick) => `<text class="tick" x="${x(tick)}" y="${HEIGHT - 8}" text-anchor="middle">${tick} s</text>`)
    .join('')
  const first = lines[0]
  const shade =
    options.fill && first !== undefined
      ? `<path d="${path(first.values)}L${x(end)} ${y(0)}L${x(at[0] ?? 0)} ${y(0)}Z" fill="${first.color}" opacity="0.12"/>`
      : ''
  const level =
    wanted === undefined
      ? ''
      : `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(wanted)}" y2="${y(wanted)}" class="wanted"/>`
  const drawn = lines
    .map(
      ({ color, values }) =>
        `<path d="${path(values)}" fill="none" stroke="${color}" stroke-width="2" stroke-linejoin="round"/>`,
    )
    .join('')
  // A strip for each second that says its values when the pointer is over it.
  const strip = (WIDTH - LEFT - RIGHT) / Math.max(1, at.length)
  const hints = at
    .map((second, index) => {
      const values = lines.map((line) => `${line.name}: ${plain(line.values[index] ?? 0)} ${unit}`).join('\n')
      return `<rect class="hint" x="${(x(second) - strip / 2).toFixed(1)}" y="${TOP}" width="${strip.toFixed(1)}" height="${HEIGHT - TOP - BOTTOM}"><title>second ${second}\n${escapeText(values)}</title></rect>`
    })
    .join('')
  return svg(options.title, grid + marks + shade + level + drawn + hints)
}

/** One bar per class. */
export function barChart(options: {
  readonly title: string
  readonly bars: readonly { readonly label: string; readonly value: number; readonly hint: string }[]
  readonly color: string
}): string {
  const { bars, color } = options
  const scale = ticksTo(Math.max(1, ...bars.map(({ value }) => value)))
  const top = scale.at(-1) ?? 1
  const y = (value: number): number => HEIGHT - BOTTOM - (value / top) * (HEIGHT - TOP - BOTTOM)
  const step = (WIDTH - LEFT - RIGHT) / Math.max(1, bars.length)
  const drawn = bars
    .map(({ label, value, hint }, index) => {
      const x = LEFT + index * step
      const height = value === 0 ? 0 : Math.max(1, HEIGHT - BOTTOM - y(value))
      return (
        `<rect x="${(x + 2).toFixed(1)}" y="${(HEIGHT - BOTTOM - height).toFixed(1)}" width="${(step - 4).toFixed(1)}" height="${height.toFixed(1)}" rx="2" fill="${color}"/>` +
        `<text class="tick" x="${(x + step / 2).toFixed(1)}" y="${HEIGHT - 8}" text-anchor="middle">${escapeText(label)}</text>` +
        `<rect class="hint" x="${x.toFixed(1)}" y="${TOP}" width="${step.toFixed(1)}" height="${HEIGHT - TOP - BOTTOM}"><title>${escapeText(hint)}</title></rect>`
      )
    })
    .join('')
  return svg(options.title, scale.map((tick) => rule(y(tick), plain(tick))).join('') + drawn)
}

export const escapeText = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')

/** With a thin space between thousands, and a decimal where it says something. */
export function plain(value: number): string {
  const digits = value < 10 && !Number.isInteger(value) ? value.toFixed(1) : String(Math.round(value))
  return digits.replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f')
}

const svg = (title: string, inside: string): string =>
  `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeText(title)}">${inside}</svg>`

const rule = (y: number, label: string): string =>
  `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y.toFixed(1)}" y2="${y.toFixed(1)}"/>` +
  `<text class="tick" x="${LEFT - 8}" y="${(y + 4).toFixed(1)}" text-anchor="end">${label}</text>`

/** Four to six round numbers from 0 to a little above the highest value. */
function ticksTo(highest: number): number[] {
  const rough = Math.max(highest, 1e-9) / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= rough) ?? power
  const ticks: number[] = []
  for (let tick = 0; tick < highest + step; tick += step) ticks.push(Number(tick.toPrecision(6)))
  return ticks
}
