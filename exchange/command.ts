import type { Arguments, CommandShape } from './arguments.ts'
import type { Connections } from './connections.ts'

export interface Answer {
  /** With `--json`. */
  readonly json: unknown
  readonly text: string
  /** False: the exit code is 1. Default true. */
  readonly isWell?: boolean
}

export interface Command extends CommandShape {
  readonly summary: string
  /** What a person has to know who has never used it. */
  readonly help: string
  readonly example: string
  run(connections: Connections, args: Arguments): Promise<Answer>
}
