const SANE = /^[A-Za-z0-9._:-]{1,64}$/

/** One id per request: the client's own where it is sane, else `<instance>-<start>-<count>`, unique over restarts. */
export function createRequestIds(instanceId: string): (sent: string | string[] | undefined) => string {
  const prefix = `${instanceId}-${Date.now().toString(36)}-`
  let count = 0
  return (sent) => {
    if (typeof sent === 'string' && SANE.test(sent)) return sent
    count++
    return prefix + count.toString(36)
  }
}
