/**
 * Guessing passwords is limited in windows of 15 minutes: few guesses from one place for one e-mail, more for one e-mail from
 * everywhere (so that a stranger cannot lock a member out with ten wrong guesses), more again from one place for all.
 * What succeeds is taken back.
 */
export const ATTEMPT_WINDOW_MS = 15 * 60_000

export interface AttemptLimit {
  /** What is counted: hashed before it is stored. */
  readonly subject: string
  readonly attemptsMax: number
}

export function attemptLimits(email: string, clientHash: string | undefined): AttemptLimit[] {
  if (clientHash === undefined) return [{ subject: `email:${email}`, attemptsMax: 10 }]
  return [
    { subject: `pair:${email} ${clientHash}`, attemptsMax: 10 },
    { subject: `email:${email}`, attemptsMax: 100 },
    { subject: `client:${clientHash}`, attemptsMax: 500 },
  ]
}
