import type { Position } from '#mesh/frames.ts'

/** Before everything that a slot has ever said. */
export const START: Position = [0, 0, 0]

/** As clients see it: `<sequence>-<item>-<event>`. */
export const positionText = ([sequence, item, event]: Position): string => `${sequence}-${item}-${event}`

const TEXT = /^(0|[1-9][0-9]{0,15})-(0|[1-9][0-9]{0,9})-(0|[1-9][0-9]{0,9})$/

/** `undefined` for what is none. */
export function parsePosition(text: string): Position | undefined {
  const match = TEXT.exec(text)
  return match === null ? undefined : [Number(match[1]), Number(match[2]), Number(match[3])]
}

/** Below zero: `a` came before `b`. */
export const comparePositions = (a: Position, b: Position): number => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]
