import { barChart, escapeText, lineChart, plain } from './charts.ts'
import type { Figures } from './figures.ts'

export interface RunDescription {
  readonly target: string
  readonly about: string
  readonly members: number
  readonly wantedPerSecond: number
  readonly verdict: string
  readonly isPassed: boolean
}

/** The whole report as one HTML file that needs nothing else. */
export function reportPage(figures: Figures, run: RunDescription): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Load test: ${escapeText(run.verdict)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${header(figures, run)}
${tiles(figures, run)}
${rateSection(figures, run)}
${latencySection(figures)}
${distributionSection(figures)}
${answersSection(figures)}
<footer>Made by <code>npm run loadtest</code> from artillery's result. Hover over a chart for its values.</footer>
</main>
</body>
</html>
`
}

function header({ beganAtMs, seconds }: Figures, run: RunDescription): string {
  const began = new Date(beganAtMs).toISOString().replace('T', ' ').slice(0, 19)
  return `<header>
<p class="badge ${run.isPassed ? 'good' : 'bad'}">${escapeText(run.verdict)}</p>
<h1>${plain(run.wantedPerSecond)} orders per second</h1>
<p class="about">${plain(seconds)} seconds from ${began} UTC, from ${plain(run.members)} members with tokens of their own, at
<code>${escapeText(run.target)}</code> (${escapeText(run.about)})</p>
</header>`
}

function tiles(figures: Figures, run: RunDescription): string {
  const tile = (name: string, value: string, note: string, mood = ''): string =>
    `<div class="tile ${mood}"><span class="name">${name}</span><span class="value">${value}</span><span class="note">${note}</span></div>`
  const { orders, failed, perSecond, matchedShare, p50Ms, p95Ms, p99Ms, maxMs, dueP99Ms } = figures
  return `<section class="tiles">
${tile('Orders', plain(orders), `${Math.round(matchedShare * 100)} % matched at once`)}
${tile('Per second', plain(perSecond), `${plain(run.wantedPerSecond)} were wanted`)}
${tile('Failed', plain(failed), failed === 0 ? 'every order was accepted' : 'see the answers below', failed === 0 ? 'good' : 'bad')}
${tile('Median', `${plain(p50Ms)} ms`, 'from sending to the answer')}
${tile('p95', `${plain(p95Ms)} ms`, 'one in twenty took longer')}
${tile('p99', `${plain(p99Ms)} ms`, `${plain(dueP99Ms)} ms from when it was due`)}
${tile('Longest', `${plain(maxMs)} ms`, 'of all answers')}
</section>`
}

function rateSection({ series }: Figures, { wantedPerSecond }: RunDescription): string {
  // The first and the last second are not whole ones.
  const whole = series.slice(1, -1)
  const lines = [{ name: 'answers', color: 'var(--series-1)', values: whole.map(({ answers }) => answers) }]
  const failed = whole.map((second) => second.failed)
  if (failed.some((count) => count > 0)) lines.push({ name: 'failed', color: 'var(--bad)', values: failed })
  const at = whole.map((second) => second.at)
  const title = 'Answers per second'
  return `<section><h2>${title}</h2><p class="legend">${key('var(--series-1)', 'answers')}${key('var(--muted)', 'wanted')}</p>
${lineChart({ title, at, lines, unit: '', wanted: wantedPerSecond, fill: true })}</section>`
}

function latencySection({ series }: Figures): string {
  const whole = series.slice(1, -1)
  const lines = [
    { name: 'p99', color: 'var(--series-3)', values: whole.map(({ p99Ms }) => p99Ms) },
    { name: 'p95', color: 'var(--series-2)', values: whole.map(({ p95Ms }) => p95Ms) },
    { name: 'median', color: 'var(--series-1)', values: whole.map(({ p50Ms }) => p50Ms) },
  ]
  const title = 'Time to the answer, in milliseconds'
  const legend = lines.map(({ color, name }) => key(color, name)).join('')
  const at = whole.map((second) => second.at)
  return `<section><h2>${title}</h2>
<p class="legend">${legend}<span>counted from when the order was due, waiting included</span></p>
${lineChart({ title, at, lines, unit: 'ms' })}</section>`
}

function distributionSection({ distribution }: Figures): string {
  const all = distribution.reduce((sum, { count }) => sum + count, 0)
  const bars = distribution.map(({ upToMs, count }, index) => {
    const from = distribution[index - 1]?.upToMs ?? 0
    const isLast = upToMs === Number.POSITIVE_INFINITY
    const share = ((count * 100) / Math.max(1, all)).toFixed(2)
    return {
      label: isLast ? `> ${plain(from)}` : `≤ ${plain(upToMs)}`,
      value: count,
      hint: `${isLast ? `more than ${plain(from)}` : `${plain(from)} to ${plain(upToMs)}`} ms: ${plain(count)} answers, ${share} %`,
    }
  })
  const title = 'How many answers took how long'
  return `<section><h2>${title}</h2><p class="legend"><span>milliseconds from when the order was due</span></p>
${barChart({ title, bars, color: 'var(--series-1)' })}</section>`
}

function answersSection({ answers, orders }: Figures): string {
  const rows = answers
    .map(([what, count]) => {
      const share = ((count * 100) / Math.max(1, orders)).toFixed(2)
      const mood = what === 'HTTP 201' ? 'good' : 'bad'
      return `<tr><td><span class="dot ${mood}"></span>${escapeText(what)}</td><td>${plain(count)}</td><td>${share} %</td></tr>`
    })
    .join('\n')
  return `<section><h2>Answers</h2>
<table><thead><tr><th>answer</th><th>orders</th><th>share</th></tr></thead><tbody>${rows}</tbody></table></section>`
}

const key = (color: string, name: string): string =>
  `<span class="key"><i style="background:${color}"></i>${name}</span>`

const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #16202c; --muted: #66717f; --line: #e3e7ec;
  --good: #12805c; --good-soft: #dff3ea; --bad: #c0322b; --bad-soft: #fbe4e2;
  --series-1: #2563c9; --series-2: #d98a00; --series-3: #a03fb5;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #10151c; --card: #18202a; --ink: #e8edf3; --muted: #94a1b0; --line: #2a3542;
    --good: #4cc99a; --good-soft: #14382c; --bad: #ff857c; --bad-soft: #452320;
    --series-1: #6ea4ff; --series-2: #f2b84b; --series-3: #d58be6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 40px 20px 60px; }
header { margin-bottom: 28px; }
h1 { margin: 10px 0 4px; font-size: 34px; line-height: 1.2; letter-spacing: -0.02em; }
h2 { margin: 0 0 4px; font-size: 17px; }
code { font: 0.92em ui-monospace, monospace; }
.about, .legend, footer { margin: 0; color: var(--muted); font-size: 14px; }
.badge { display: inline-block; margin: 0; padding: 3px 12px; border-radius: 99px; font-size: 14px; font-weight: 600; }
.badge.good { background: var(--good-soft); color: var(--good); }
.badge.bad { background: var(--bad-soft); color: var(--bad); }
section { overflow-x: auto; margin-bottom: 20px; padding: 20px 22px; background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(118px, 1fr)); gap: 18px 12px; }
.tile { display: flex; flex-direction: column; }
.tile .name { color: var(--muted); font-size: 13px; }
.tile .value { font-size: 25px; font-weight: 650; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.tile .note { color: var(--muted); font-size: 12px; line-height: 1.35; }
.tile.good .value { color: var(--good); }
.tile.bad .value { color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin-bottom: 8px; }
.key { display: inline-flex; align-items: center; gap: 6px; }
.key i { width: 14px; height: 3px; border-radius: 2px; }
/* On a phone the charts are moved sideways: shrunk to its width nobody could read them. */
svg { display: block; width: 100%; min-width: 640px; height: auto; }
.grid { stroke: var(--line); }
.wanted { stroke: var(--muted); stroke-width: 1.5; stroke-dasharray: 5 5; }
.tick { fill: var(--muted); font-size: 12px; font-variant-numeric: tabular-nums; }
.hint { fill: var(--ink); opacity: 0; }
.hint:hover { opacity: 0.06; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { color: var(--muted); font-size: 13px; font-weight: 500; }
th, td { padding: 6px 4px; border-bottom: 1px solid var(--line); text-align: right; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { border-bottom: 0; }
.dot { display: inline-block; width: 9px; height: 9px; margin-right: 9px; border-radius: 50%; background: var(--bad); }
.dot.good { background: var(--good); }
footer { padding: 0 4px; }
`
