import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { laptopSecrets } from './laptop-secrets.ts'
import { projectDirectory } from './servers/directories.ts'
import { migrateScript, nodeFlags, services } from './services.ts'

const read = (path: string) => readFileSync(join(projectDirectory, path), 'utf8')

describe('docker-compose.yml', () => {
  // A long command stands on a line of its own.
  const compose = read('docker-compose.yml').replace(/command:\n +\[/g, 'command: [')

  it('runs every service that npm start runs, and the migrations', () => {
    for (const service of [...services, { name: 'migrate', script: migrateScript }]) {
      const { name, script } = service
      const command = ['node', ...nodeFlags(service), 'launcher/container.ts', script].join(', ')
      const section = `  ${name}:\n    <<: *service\n    command: [${command}]\n`
      assert(compose.includes(section), name)
    }
  })

  it('has every service scraped', () => {
    const names: string[] = read('ops/prometheus/prometheus.yml').match(/(?<=^ {10}- )[a-z-]+$/gm) ?? []
    for (const { name } of services) assert(names.includes(name), name)
    assert(compose.includes('HEALTH_PORT: "3100"\n  HEALTH_HOST: 0.0.0.0\n'))
  })

  it('names no container, and publishes ports on the loopback interface alone', () => {
    assert.doesNotMatch(compose, /container_name/)
    const published = compose.match(/"[^"\n]+:[^"\n]+:[0-9]+"/g)?.filter((one) => !one.includes('//')) ?? []
    assert(published.length >= 6)
    for (const one of published) assert.match(one, /^"(127\.0\.0\.1|\$\{PUBLIC_HOST:-127\.0\.0\.1\}):/)
  })

  it('checks the health of gateways as traefik/dynamic.yml does', () => {
    const dynamic = read('traefik/dynamic.yml')
    for (const option of ['path', 'interval', 'unhealthyInterval', 'timeout']) {
      const value = new RegExp(`^ +${option}: (.+)$`, 'm').exec(dynamic)?.[1]
      assert(value, option)
      assert(compose.includes(`loadbalancer.healthcheck.${option.toLowerCase()}: ${value}\n`), option)
    }
  })
})

describe("a laptop's secrets", () => {
  const mysqlUrl = 'mysql://exchange:laptop-only@mariadb:3306/exchange'
  const ownUrl = 'mysql://exchange:own@mariadb:3306/exchange'
  const rows: [what: string, env: NodeJS.ProcessEnv, refusal: RegExp | undefined][] = [
    ['will do for development', { EXCHANGE_MODE: 'development', MYSQL_URL: mysqlUrl }, undefined],
    [
      'are refused in production: the database',
      { EXCHANGE_MODE: 'production', MYSQL_URL: mysqlUrl, EXCHANGE_ADMIN_PASSWORD: 'own' },
      /MYSQL_PASSWORD must be set/,
    ],
    [
      'are refused in production: RabbitMQ',
      {
        EXCHANGE_MODE: 'production',
        MYSQL_URL: ownUrl,
        RABBITMQ_URL: 'amqp://exchange:laptop-only@rabbitmq:5672',
        EXCHANGE_ADMIN_PASSWORD: 'own',
      },
      /RABBITMQ_PASSWORD must be set/,
    ],
    [
      'are refused in production: the admin',
      { EXCHANGE_MODE: 'production', MYSQL_URL: ownUrl },
      /EXCHANGE_ADMIN_PASSWORD must be set/,
    ],
    [
      'are not missed in production with own ones',
      { EXCHANGE_MODE: 'production', MYSQL_URL: ownUrl, EXCHANGE_ADMIN_PASSWORD: 'own' },
      undefined,
    ],
  ]
  for (const [what, env, refusal] of rows) {
    it(what, () => {
      const said = laptopSecrets(env)
      if (refusal === undefined) assert.equal(said, undefined)
      else assert.match(said ?? '', refusal)
    })
  }

  it('are the ones of the compose file', () => {
    assert.match(read('docker-compose.yml'), /\$\{MYSQL_PASSWORD:-laptop-only\}@mariadb/)
    assert.match(read('docker-compose.yml'), /\$\{RABBITMQ_PASSWORD:-laptop-only\}@rabbitmq/)
  })
})
