import { ConfigError, wholeNumber } from '#mesh/config.ts'

type Env = Readonly<Record<string, string | undefined>>

export interface AlertsConfig {
  readonly redisUrl: string
  readonly mail: MailConfig | undefined
  readonly webhookUrl: string | undefined
  /** Of alarms of one kind at most one is told in that time. */
  readonly everySeconds: number
}

export interface MailConfig {
  readonly smtpUrl: string
  readonly from: string
  readonly to: string
}

/**
 * | variable | default | |
 * |---|---|---|
 * | `REDIS_URL` | required | where the list of alarms is |
 * | `SMTP_URL` | none | `smtp://user:password@host:587`, or `smtps://…` |
 * | `ALERT_MAIL_TO`, `ALERT_MAIL_FROM` | none, exchange@localhost | with commas for several |
 * | `ALERT_WEBHOOK_URL` | none | gets a POST with JSON |
 * | `ALERT_EVERY_SECONDS` | 60 | of one kind at most one in that time |
 */
export function envToConfig(env: Env): AlertsConfig {
  const { REDIS_URL: redisUrl, SMTP_URL: smtpUrl, ALERT_MAIL_TO: to, ALERT_WEBHOOK_URL: webhookUrl } = env
  if (!redisUrl) throw new ConfigError('REDIS_URL must be set: alarms come through a list of Redis.')
  if (smtpUrl && !/^smtps?:\/\//.test(smtpUrl)) throw new ConfigError('SMTP_URL must begin with smtp:// or smtps://.')
  if (Boolean(smtpUrl) !== Boolean(to)) throw new ConfigError('SMTP_URL and ALERT_MAIL_TO go together.')
  if (webhookUrl && !/^https?:\/\//.test(webhookUrl)) {
    throw new ConfigError('ALERT_WEBHOOK_URL must begin with http:// or https://.')
  }
  return {
    redisUrl,
    mail: smtpUrl && to ? { smtpUrl, to, from: env.ALERT_MAIL_FROM || 'exchange@localhost' } : undefined,
    webhookUrl: webhookUrl || undefined,
    everySeconds: wholeNumber('ALERT_EVERY_SECONDS', env.ALERT_EVERY_SECONDS || '60', 1, 86_400),
  }
}
