/** What the service refuses: with its code, and words for people. */
export class Refused extends Error {
  constructor(status, code, message) {
    super(message)
    this.status = status
    this.code = code
  }
}

const ANSWER_MS_MAX = 20_000

/** Asks the page's service. Who is not logged in any more comes to the login. */
export async function ask(method, path, body, answerMsMax = ANSWER_MS_MAX) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { 'content-type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(answerMsMax),
  })
  const answer = await response.json().catch(() => ({}))
  if (response.ok) return answer
  if (response.status === 401) location.assign('/login')
  throw new Refused(response.status, answer.code ?? 'unknown', answer.message ?? response.statusText)
}
