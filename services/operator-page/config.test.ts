import assert from 'node:assert/strict'
import { ConfigError } from '#mesh/config.ts'
import { envToConfig } from './config.ts'

describe("the operator's page, its settings", () => {
  it('has defaults that open nothing to others', () => {
    const { host, port, origin, links, mysqlUrl } = envToConfig({})
    assert.deepEqual([host, port, origin, links, mysqlUrl], ['127.0.0.1', 3000, undefined, [], undefined])
  })

  it('takes links, each asked for where this process sees it', () => {
    const text =
      'Grafana=http://localhost:3001|http://grafana:3000/api/health, The wiki=https://wiki.example.com/a?b=c,'
    assert.deepEqual(envToConfig({ OPERATOR_LINKS: text }).links, [
      { name: 'Grafana', url: 'http://localhost:3001/', probeUrl: 'http://grafana:3000/api/health' },
      { name: 'The wiki', url: 'https://wiki.example.com/a?b=c', probeUrl: 'https://wiki.example.com/a?b=c' },
    ])
  })

  const wrong: [name: string, value: string, said: RegExp][] = [
    ['OPERATOR_PORT', 'a', /OPERATOR_PORT must be a whole number/],
    ['OPERATOR_HOST', 'here', /OPERATOR_HOST must be an IP address/],
    ['OPERATOR_ORIGIN', 'example.com', /OPERATOR_ORIGIN must have addresses/],
    ['OPERATOR_LINKS', 'Grafana', /OPERATOR_LINKS must be like/],
    ['OPERATOR_LINKS', 'Grafana=javascript:alert(1)', /OPERATOR_LINKS must have addresses with http/],
    ['MYSQL_URL', 'here', /MYSQL_URL must look like/],
  ]
  for (const [name, value, said] of wrong) {
    it(`refuses ${name}=${value}`, () => {
      assert.throws(
        () => envToConfig({ [name]: value }),
        (error) => error instanceof ConfigError && said.test(error.message),
      )
    })
  }
})
