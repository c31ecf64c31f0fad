import { parsePosition, positionText } from '#mesh/domain/position.ts'
import type { Told } from '#mesh/domain/private-ring.ts'
import type { Position } from '#mesh/frames.ts'

/** On the bus: position and previous position on the first line, what the client gets on the second. */
export const encodeTold = ({ position, previous, text }: Told): string =>
  `${positionText(position)} ${positionText(previous)}\n${text}`

export interface PrivateMessage {
  readonly position: Position
  readonly previous: Position
  readonly positionText: string
  /** Members of a JSON object, without its braces. */
  readonly text: string
  readonly previousText: string
}

/** @throws Error on what was not written by `encodeTold` */
export function decodeTold(message: string): PrivateMessage {
  const end = message.indexOf('\n')
  const [positionText = '', previousText = ''] = message.slice(0, end).split(' ')
  const position = parsePosition(positionText)
  const previous = parsePosition(previousText)
  if (position === undefined || previous === undefined) throw new Error('A private message has no position.')
  return { position, previous, positionText, previousText, text: message.slice(end + 1) }
}
