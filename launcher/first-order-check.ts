// `node launcher/run.mjs launcher/first-order-check.ts URL [MEMORY] [ADMIN-PASSWORD-FILE]`: pastes the first order into a
// shell, as a person would, and makes sure that both orders are filled. MEMORY is a file that one check writes and the next
// one reads: the members of the earlier check must still have their orders.
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { firstOrder } from './first-order.ts'
import { run } from './servers/child-process.ts'

const [url = 'http://127.0.0.1:8182', memory, passwordPath] = process.argv.slice(2)

if (memory !== undefined && existsSync(memory)) await findEarlierOrder(readFileSync(memory, 'utf8'))
const name = `check-${Date.now()}`
await placeFirstOrder(name)
if (memory !== undefined) writeFileSync(memory, name)

async function placeFirstOrder(id: string): Promise<void> {
  const admin = { email: process.env.EXCHANGE_ADMIN_EMAIL ?? 'admin@example.com', path: passwordPath }
  const script = firstOrder({ publicUrl: url, admin }).replace('$(date +%s)', id)
  const output = await run('sh', ['-eu', '-c', script])
  const lines = output.trim().split('\n').slice(-2)
  for (const [index, side] of ['sell', 'buy'].entries()) {
    const line = lines[index] ?? ''
    assert.match(line, new RegExp(`"side":"${side}".*"status":"executed"`), output)
    const order = JSON.parse(line)
    console.log(`✔ ${side} ${order.executedAmount} ${order.instrument} at ${order.averagePrice}: ${order.status}`)
  }
}

async function findEarlierOrder(name: string): Promise<void> {
  const credentials = { email: `seller-${name}@example.com`, password: `seller-${name}-secret` }
  const headers = { 'content-type': 'application/json' }
  const login = await fetch(`${url}/api/v3/sessions`, { method: 'POST', headers, body: JSON.stringify(credentials) })
  assert.equal(login.status < 300, true, `the member of the earlier check logs in (${login.status})`)
  const { accessToken } = (await login.json()) as { accessToken: string }
  const answer = await fetch(`${url}/api/v3/orders`, { headers: { authorization: `Bearer ${accessToken}` } })
  const { orders } = (await answer.json()) as { orders: { status: string }[] }
  assert.deepEqual(
    orders.map(({ status }) => status),
    ['executed'],
  )
  console.log('✔ the order of the earlier check is there')
}
