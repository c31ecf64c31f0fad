import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import jwt from 'jsonwebtoken'
import { seedMembers } from '#mesh/seeding.ts'
import { Client } from './support/client.ts'
import { connectTo, startMesh, type TestMesh } from './support/mesh.ts'

describe('REST: members, sessions and tokens, through two gateways and two auths', function () {
  this.timeout(60_000)
  const PASSWORD = 'correct horse battery'
  let mesh: TestMesh
  let anyone: Client
  let admin: Client

  before(async function () {
    this.timeout(120_000)
    mesh = await startMesh({
      scale: { gateway: 2, auth: 2 },
      env: { PASSWORD_COST_LOG2: '10', RATE_LOGIN: '1000:1000', RATE_READ: '1000:1000' },
    })
    anyone = new Client(mesh.urls)
    admin = anyone.as((await anyone.ok('POST', '/sessions', mesh.admin)).accessToken)
  })
  after(() => mesh?.stop())

  let count = 0
  const register = async () => {
    const email = `member-${++count}@example.com`
    const { id } = await anyone.ok('POST', '/members', { email, password: PASSWORD })
    return { id: id as string, email }
  }
  const logIn = (email: string, password = PASSWORD) => anyone.ok('POST', '/sessions', { email, password })
  const member = async () => {
    const { id, email } = await register()
    const session = await logIn(email)
    return { id, email, session, client: anyone.as(session.accessToken) }
  }

  describe('registering', () => {
    it('makes a member with an empty account', async () => {
      const { id, client } = await member()
      assert.match(id, /^[1-9][0-9]+$/)
      assert.deepEqual(await client.ok('GET', '/accounts'), { status: 'active', accounts: [] })
      const me = await client.ok('GET', '/members/me')
      assert.equal(me.id, id)
      assert.deepEqual(me.roles, ['member'])
      assert.deepEqual(me.scopes, ['read', 'trade', 'account'])
    })
    it('refuses an e-mail that is taken, however it is written', async () => {
      const { email } = await register()
      const body = { email: email.toUpperCase(), password: PASSWORD }
      await anyone.refused([409, 'email_taken', 'email'], 'POST', '/members', body)
    })
    it('refuses what is no e-mail, and a short password', async () => {
      await anyone.refused([400, 'email_invalid', 'email'], 'POST', '/members', { email: 'nobody', password: PASSWORD })
      await anyone.refused([400, 'password_too_short', 'password'], 'POST', '/members', {
        email: 'x@example.com',
        password: 'short',
      })
    })
    it('refuses what does not fit', async () => {
      await anyone.refused([400, 'missing_field', 'password'], 'POST', '/members', { email: 'x@example.com' })
      const more = { email: 'x@example.com', password: PASSWORD, role: 'admin' }
      await anyone.refused([400, 'unknown_field', 'role'], 'POST', '/members', more)
    })
  })

  describe('sessions', () => {
    it('tells nobody whether it is the e-mail or the password', async () => {
      const { email } = await register()
      await anyone.refused([401, 'credentials_invalid'], 'POST', '/sessions', { email, password: 'wrong password' })
      const stranger = { email: 'stranger@example.com', password: PASSWORD }
      await anyone.refused([401, 'credentials_invalid'], 'POST', '/sessions', stranger)
    })
    it('renews, and ends the session when a refresh token comes twice', async () => {
      const { session, client } = await member()
      const next = await anyone.ok('POST', '/sessions/refresh', { refreshToken: session.refreshToken })
      await anyone.as(next.accessToken).ok('GET', '/accounts')
      await anyone.refused([401, 'refresh_reused'], 'POST', '/sessions/refresh', { refreshToken: session.refreshToken })
      await anyone.refused([401, 'refresh_invalid'], 'POST', '/sessions/refresh', { refreshToken: next.refreshToken })
      await soon(() => client.refused([401, 'token_revoked'], 'GET', '/accounts'))
      await soon(() => anyone.as(next.accessToken).refused([401, 'token_revoked'], 'GET', '/accounts'))
    })
    it('refuses a refresh token that it never gave', async () => {
      await anyone.refused([401, 'refresh_invalid'], 'POST', '/sessions/refresh', { refreshToken: 'made-up' })
    })
    it('logs out of one session, or of all', async () => {
      const { email, client } = await member()
      const other = anyone.as((await logIn(email)).accessToken)
      await client.ok('DELETE', '/sessions')
      await soon(() => client.refused([401, 'token_revoked'], 'GET', '/accounts'))
      await other.ok('GET', '/accounts')
      const third = anyone.as((await logIn(email)).accessToken)
      await third.ok('DELETE', '/sessions?all=true')
      await soon(() => other.refused([401, 'token_revoked'], 'GET', '/accounts'))
    })
    it('ends with the password', async () => {
      const { email, client } = await member()
      const wrong = { currentPassword: 'wrong password', newPassword: 'a new password' }
      await client.refused([401, 'credentials_invalid'], 'PUT', '/members/me/password', wrong)
      await client.ok('PUT', '/members/me/password', { currentPassword: PASSWORD, newPassword: 'a new password' })
      await soon(() => client.refused([401, 'token_revoked'], 'GET', '/accounts'))
      await anyone.refused([401, 'credentials_invalid'], 'POST', '/sessions', { email, password: PASSWORD })
      await logIn(email, 'a new password')
    })
    it('limits guessing', async () => {
      const { email } = await register()
      let status = 401
      for (let attempt = 0; attempt < 200 && status === 401; attempt++) {
        status = (await anyone.call('POST', '/sessions', { email, password: 'a guess' })).status
      }
      const last = await anyone.refused([429, 'login_rate_limited'], 'POST', '/sessions', {
        email,
        password: 'a guess',
      })
      assert(Number(last.headers.get('retry-after')) > 0)
    })
    it('closes a membership for good', async () => {
      const { email, client } = await member()
      await client.ok('POST', '/members/me/close', { password: PASSWORD })
      await soon(() => client.refused([403, 'member_closed'], 'GET', '/accounts'))
      await anyone.refused([403, 'member_closed'], 'POST', '/sessions', { email, password: PASSWORD })
      await anyone.refused([409, 'email_taken', 'email'], 'POST', '/members', { email, password: PASSWORD })
    })
    it('publishes its keys', async () => {
      const { keys } = await anyone.ok('GET', '/jwks')
      assert(keys.length > 0)
      for (const key of keys) assert.deepEqual([key.kty, key.crv, key.alg], ['EC', 'P-256', 'ES256'])
    })
  })

  describe('tokens that are not good', () => {
    const refuses = (token: string, code: string) => anyone.as(token).refused([401, code], 'GET', '/accounts')

    it('none at all', async () => {
      const { headers } = await anyone.refused([401, 'token_missing'], 'GET', '/accounts')
      assert.equal(headers.get('www-authenticate'), 'Bearer')
      await anyone.refused([401, 'token_missing'], 'GET', '/accounts', undefined, { authorization: 'Basic eDp5' })
    })
    it('not a token', async () => {
      await refuses('nonsense', 'token_malformed')
      await refuses('a.b.c', 'token_malformed')
    })
    it('forged: another key, another content, another algorithm, none', async () => {
      const { session } = await member()
      const token: string = session.accessToken
      const { header, payload } = jwt.decode(token, { complete: true }) as jwt.Jwt
      assert(typeof payload === 'object')
      const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
      const keyid = header.kid ?? ''
      await refuses(jwt.sign(payload, other, { algorithm: 'ES256', keyid }), 'token_invalid')
      await refuses(jwt.sign(payload, other, { algorithm: 'ES256', keyid: 'unknown' }), 'token_invalid')
      await refuses(jwt.sign(payload, '', { algorithm: 'none', keyid }), 'token_invalid')
      await refuses(jwt.sign(payload, 'secret', { algorithm: 'HS256', keyid }), 'token_invalid')
      const [head, , signature] = token.split('.')
      const asAdmin = Buffer.from(JSON.stringify({ ...payload, roles: ['admin'] })).toString('base64url')
      await refuses(`${head}.${asAdmin}.${signature}`, 'token_invalid')
    })
    it('expired', async () => {
      const nats = await connectTo(mesh)
      const [seeded] = await seedMembers(nats, { count: 1, lifetimeS: 1 })
      await nats.close()
      assert(seeded)
      await soon(() => refuses(seeded.accessToken, 'token_expired'))
    })
  })

  describe('tokens for programs', () => {
    it('do what they are for, until they are revoked', async () => {
      const { id, client } = await member()
      const made = await client.ok('POST', '/tokens', { name: 'reader', scopes: ['read'], lifetimeDays: 7 })
      const reader = anyone.as(made.token)
      assert.equal((await reader.ok('GET', '/members/me')).id, id)
      await reader.refused([403, 'scope_missing'], 'POST', '/order', {})
      await reader.refused([403, 'scope_missing'], 'GET', '/tokens')
      const { tokens } = await client.ok('GET', '/tokens')
      assert.equal(tokens.length, 1)
      assert.deepEqual([tokens[0].id, tokens[0].name, tokens[0].scopes], [made.id, 'reader', ['read']])
      await client.ok('DELETE', `/tokens/${made.id}`)
      await soon(() => reader.refused([401, 'token_revoked'], 'GET', '/accounts'))
      assert.deepEqual(await client.ok('GET', '/tokens'), { tokens: [] })
      await client.refused([404, 'token_unknown'], 'DELETE', '/tokens/123')
    })
    it('cannot be made for another member, nor for ever', async () => {
      const { client } = await member()
      const { id: other } = await register()
      const token = { name: 'x', scopes: ['read'] }
      await client.refused([403, 'forbidden'], 'POST', '/tokens', { ...token, memberId: other })
      await client.refused([422, 'lifetime_too_long', 'lifetimeDays'], 'POST', '/tokens', {
        ...token,
        lifetimeDays: 3650,
      })
      await client.refused([400, 'request_invalid', 'scopes'], 'POST', '/tokens', {
        ...token,
        scopes: ['read', 'read'],
      })
      await client.refused([400, 'invalid_value', 'scopes.0'], 'POST', '/tokens', { ...token, scopes: ['account'] })
    })
    it('end somewhere', async () => {
      const { client } = await member()
      let response = await client.call('POST', '/tokens', { name: 'x', scopes: ['read'] })
      for (let made = 1; made < 500 && response.status === 201; made++) {
        response = await client.call('POST', '/tokens', { name: 'x', scopes: ['read'] })
      }
      assert.deepEqual([response.status, response.body.code], [422, 'too_many_tokens'])
    })
    it('of a broker act for the members that they list', async () => {
      const broker = await member()
      const listed = await member()
      const stranger = await member()
      const token = { name: 'broker', scopes: ['read', 'trade'], memberId: broker.id, members: [listed.id] }
      await admin.refused([422, 'not_a_broker'], 'POST', '/tokens', token)
      await admin.ok('PUT', `/admin/members/${broker.id}/roles`, { roles: ['broker'] })
      const made = await admin.ok('POST', '/tokens', token)
      const deposit = { reference: `broker-${listed.id}`, memberId: listed.id, asset: 'BTC', amount: '2' }
      await admin.ok('POST', '/admin/deposits', deposit)

      const acting = anyone.as(made.token, { 'x-member-id': listed.id })
      assert.equal((await acting.ok('GET', '/accounts')).accounts[0].available, '2')
      const sell = { instrument: 'BTC-USDT', side: 'sell', price: '90000', amount: '1' }
      const order = await acting.ok('POST', '/order', sell)
      assert.equal((await listed.client.ok('GET', `/order/${order.id}`)).status, 'new')
      assert.deepEqual((await anyone.as(made.token).ok('GET', '/accounts')).accounts, [])

      const others = [403, 'member_not_listed', 'X-Member-Id'] as const
      await anyone.as(made.token, { 'x-member-id': stranger.id }).refused(others, 'GET', '/accounts')
      await anyone.as(made.token, { 'x-member-id': 'x' }).refused(others, 'GET', '/accounts')
      await stranger.client.refused(others, 'GET', '/accounts', undefined, { 'x-member-id': listed.id })

      await admin.ok('POST', `/admin/members/${listed.id}/block`, { reason: 'test' })
      await soon(() => acting.refused([403, 'member_blocked', 'X-Member-Id'], 'GET', '/accounts'))
    })
  })

  describe('what admins do', () => {
    it('is for admins alone', async () => {
      const { client, id } = await member()
      for (const [method, path, body] of [
        ['GET', '/admin/members', undefined],
        ['POST', `/admin/members/${id}/block`, {}],
        ['GET', '/admin/totals', undefined],
        ['POST', '/admin/deposits', {}],
        ['POST', '/admin/assets', {}],
        ['POST', '/admin/keys/rotate', undefined],
      ] as const) {
        await client.refused([403, 'admin_required'], method, path, body)
      }
    })
    it('lists members in pages', async () => {
      const { id, email } = await register()
      await register()
      const found = await admin.ok('GET', `/admin/members?email=${email}`)
      assert.deepEqual(
        found.members.map((one: { id: string; email: string; status: string }) => [one.id, one.email, one.status]),
        [[id, email, 'active']],
      )
      const ids: string[] = []
      let cursor: string | null = '1'
      while (cursor !== null) {
        const page: { members: { id: string }[]; cursor: string | null } = await admin.ok(
          'GET',
          `/admin/members?limit=3&cursor=${cursor}`,
        )
        ids.push(...page.members.map((one) => one.id))
        cursor = page.cursor
      }
      assert(ids.includes(id))
      assert.equal(new Set(ids).size, ids.length)
    })
    it('blocks a member everywhere, and lets him in again', async () => {
      const { id, email, client } = await member()
      await admin.ok('POST', `/admin/members/${id}/block`, { reason: 'test' })
      await soon(() => client.refused([403, 'member_blocked'], 'GET', '/accounts'))
      await anyone.refused([403, 'member_blocked'], 'POST', '/sessions', { email, password: PASSWORD })
      await admin.ok('POST', `/admin/members/${id}/unblock`, {})
      await soon(async () => anyone.as((await logIn(email)).accessToken).ok('GET', '/accounts'))
      await admin.refused([404, 'member_unknown'], 'POST', '/admin/members/12345/block', {})
    })
    it('does not block or change himself', async () => {
      const { id } = await admin.ok('GET', '/members/me')
      await admin.refused([409, 'last_admin'], 'POST', `/admin/members/${id}/block`, {})
      await admin.refused([409, 'own_roles'], 'PUT', `/admin/members/${id}/roles`, { roles: [] })
      await admin.refused([409, 'own_denial'], 'POST', '/admin/denials', { memberId: id })
    })
    it('denies members and e-mails', async () => {
      const { id, email, client } = await member()
      await admin.ok('POST', '/admin/denials', { memberId: id, reason: 'test' })
      await soon(() => client.refused([403, 'member_denied'], 'GET', '/accounts'))
      await anyone.refused([403, 'member_denied'], 'POST', '/sessions', { email, password: PASSWORD })
      await admin.ok('POST', '/admin/denials', { email: 'unwanted@example.com' })
      const unwanted = { email: 'unwanted@example.com', password: PASSWORD }
      await anyone.refused([403, 'email_denied', 'email'], 'POST', '/members', unwanted)
      const { denials } = await admin.ok('GET', '/admin/denials')
      // The newest first, to about a second: their ids are of two instances.
      assert.deepEqual(
        new Set(denials.map((one: { memberId: string | null; email: string | null }) => one.email ?? one.memberId)),
        new Set(['unwanted@example.com', id]),
      )
      await admin.ok('DELETE', `/admin/denials?memberId=${id}`)
      await soon(async () => anyone.as((await logIn(email)).accessToken).ok('GET', '/accounts'))
      await admin.refused([400, 'missing_field', 'memberId'], 'POST', '/admin/denials', {})
      const both = { memberId: id, email: 'x@example.com' }
      await admin.refused([400, 'field_not_allowed', 'email'], 'POST', '/admin/denials', both)
    })
    it('changes the key, and tokens of both keys are good', async () => {
      const { client } = await member()
      const { keyId } = await admin.ok('POST', '/admin/keys/rotate')
      await soon(async () => {
        const { keys } = await anyone.ok('GET', '/jwks')
        assert(keys.some((key: { kid: string }) => key.kid === keyId))
      })
      await client.ok('GET', '/accounts')
    })
  })
})

/** What comes to every gateway at once still takes a moment. Both gateways have to agree, twice in a row each. */
async function soon(check: () => Promise<unknown>): Promise<void> {
  const deadlineMs = performance.now() + 10_000
  for (;;) {
    try {
      for (let times = 0; times < 4; times++) await check()
      return
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await sleep(20)
    }
  }
}
