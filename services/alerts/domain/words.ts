import type { Alarm } from '#mesh/protocol/alerts.ts'

export interface Words {
  readonly subject: string
  readonly text: string
}

/** `held`: how many of its kind were not told since the last one that was. */
export function wordsOf(alarm: Alarm, held: number): Words {
  const { level, service, instance, kind, message, details, at } = alarm
  const lines = [
    `${oneLine(message)}.`,
    ...(details === '' ? [] : [details]),
    '',
    `Service:  ${service}, instance ${instance}`,
    `Kind:     ${kind}`,
    `When:     ${at}`,
    ...(held === 0 ? [] : [`And ${held} more of this kind since the last one that was told.`]),
  ]
  return { subject: `[exchange] ${level}: ${instance}: ${oneLine(message)}`.slice(0, 200), text: lines.join('\n') }
}

/** A subject is a header of the mail. */
const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ')
