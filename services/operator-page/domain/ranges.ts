/** `0–3 7`, from 0, 1, 2, 3 and 7 in any order. */
export function rangesOf(numbers: readonly number[]): string {
  const ranges: { from: number; to: number }[] = []
  for (const number of numbers.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && last.to === number - 1) last.to = number
    else ranges.push({ from: number, to: number })
  }
  return ranges.map(({ from, to }) => (from === to ? String(from) : `${from}–${to}`)).join(' ')
}

/** `accounts 0–3`, `definitions 0`: slots by the name of what they are slots of. */
export function namedRanges(slots: readonly { readonly name: string; readonly slot: number }[]): string[] {
  return [...Map.groupBy(slots, ({ name }) => name)].map(
    ([name, own]) => `${name} ${rangesOf(own.map(({ slot }) => slot))}`,
  )
}
