import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createPublicKey } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { jetstreamManager } from '@nats-io/jetstream'
import jwt from 'jsonwebtoken'
import { openBucket } from '#mesh/buckets.ts'
import { inTransaction, type Row } from '#mesh/mysql.ts'
import {
  type DenyListReply,
  deniedKey,
  type JwksReply,
  type MembersReply,
  type RegisterReply,
  type RotateKeyReply,
  type SessionReply,
  type TokenReply,
  type TokensReply,
  type VerifyReply,
} from '#mesh/protocol/auth.ts'
import { RpcError } from '#mesh/rpc.ts'
import { seedMembers } from '#mesh/seeding.ts'
import { Bucket, Rpc } from '#mesh/subjects.ts'
import { createDenials } from './denials.ts'
import { createHasher } from './hashing.ts'
import { ADMIN, type AuthMesh, eventually, exitOf, type NewMember, newMember, ready, startAuthMesh } from './testing.ts'

describe('auth, two instances on real servers', function () {
  this.timeout(60_000)
  let mesh: AuthMesh
  let adminId: number

  before(async () => {
    mesh = await startAuthMesh(2, { KEY_LEAD_S: '1' })
    adminId = (await mesh.ask<SessionReply>(Rpc.authLogin, ADMIN)).memberId
  })
  after(() => mesh.stop())

  const code = (token: string): string => {
    const result = mesh.verifier.verify(token)
    return 'code' in result ? result.code : 'good'
  }
  /** The reply has left when the revocation is stored: the watch is a moment behind it at most. */
  const becomes = (token: string, expected: string) => eventually(() => code(token) === expected, 1000)
  const refused = (subject: string, request: object, expected: string) =>
    assert.rejects(mesh.ask(subject, request), { code: expected }, `${subject} ${JSON.stringify(request)}`)

  describe('members', () => {
    it('registering creates the account in its log, once', async () => {
      const reply = await mesh.ask<RegisterReply>(Rpc.authRegister, {
        email: ' Ann@Example.com',
        password: 'correct horse',
      })
      assert.equal(reply.email, 'ann@example.com')
      assert.equal(reply.accountStored, true)
      const commands = await mesh.commands(reply.memberId)
      assert.deepEqual(
        commands.map(({ type, replyTo }) => [type, replyTo]),
        [['CreateAccount', '']],
      )
      const [left] = await mesh.pool.query<Row[]>('SELECT * FROM auth_outbox')
      assert.equal(left.length, 0)
      await refused(Rpc.authRegister, { email: 'ANN@example.com', password: 'another one' }, 'email_taken')
    })

    it('of many who register with one e-mail at once one gets it', async () => {
      const tries = Array.from({ length: 20 }, () =>
        mesh.ask<RegisterReply>(Rpc.authRegister, { email: 'race@example.com', password: 'correct horse' }),
      )
      const results = await Promise.allSettled(tries)
      assert.equal(results.filter(({ status }) => status === 'fulfilled').length, 1)
      for (const result of results) if (result.status === 'rejected') assert.equal(result.reason.code, 'email_taken')
    })

    const bad: [what: string, request: object, code: string][] = [
      ['no e-mail', { password: 'correct horse' }, 'request_invalid'],
      ['another type', { email: 5, password: 'correct horse' }, 'request_invalid'],
      ['one field more', { email: 'b@example.com', password: 'correct horse', roles: ['admin'] }, 'request_invalid'],
      ['a long password', { email: 'b@example.com', password: 'x'.repeat(201) }, 'request_invalid'],
      ['a short password', { email: 'b@example.com', password: '1234567' }, 'password_too_short'],
      ['something else than an e-mail', { email: 'b at example', password: 'correct horse' }, 'email_invalid'],
    ]
    for (const [what, request, expected] of bad) {
      it(`${what}: ${expected}`, () => refused(Rpc.authRegister, request, expected))
    }

    it('closing takes the password, and ends everything', async () => {
      const member = await newMember(mesh)
      const { memberId } = member
      const { email, password } = member.login
      const program = await mesh.ask<TokenReply>(Rpc.authCreateToken, {
        actorId: memberId,
        memberId,
        name: 'bot',
        scopes: ['read'],
      })
      await refused(Rpc.authCloseMember, { memberId, password: 'wrong password' }, 'credentials_invalid')
      await mesh.ask(Rpc.authCloseMember, { memberId, password })
      await becomes(member.accessToken, 'member_closed')
      assert.equal(code(program.token), 'member_closed')
      await refused(Rpc.authLogin, { email, password }, 'member_closed')
      await refused(Rpc.authRefresh, { refreshToken: member.refreshToken }, 'refresh_invalid')
      await refused(Rpc.authRegister, { email, password }, 'email_taken')
      await refused(Rpc.authBlockMember, { actorId: adminId, memberId }, 'member_closed')
      const last = (await mesh.commands(memberId)).at(-1)
      assert.equal(last?.type === 'SetAccountStatus' && last.status, 'closed')
    })

    it('the last admin stays', () =>
      refused(Rpc.authCloseMember, { memberId: adminId, password: ADMIN.password }, 'last_admin'))
  })

  describe('sessions', () => {
    it('an access token says what it should, to any verifier with the JWKS', async () => {
      const { memberId, accessToken, expiresAtMs, roles } = await newMember(mesh)
      const { keys } = await mesh.ask<JwksReply>(Rpc.authJwks, {})
      const { header } = jwt.decode(accessToken, { complete: true }) ?? {}
      assert.equal(header?.alg, 'ES256')
      const key = keys.find(({ kid }) => kid === header?.kid)
      assert.ok(key)
      const payload = jwt.verify(accessToken, createPublicKey({ key: { ...key }, format: 'jwk' }), {
        algorithms: ['ES256'],
        issuer: 'exchange',
        audience: 'exchange-api',
      })
      assert.ok(typeof payload === 'object')
      assert.equal(payload.sub, String(memberId))
      assert.deepEqual(payload.roles, roles)
      assert.deepEqual(payload.scopes, ['read', 'trade', 'account'])
      assert.equal(Number(payload.exp) * 1000, expiresAtMs)
      assert.ok(Math.abs(expiresAtMs - Date.now() - 900_000) < 5000)
      assert.match(String(payload.jti), /^[0-9]+$/)
      const { claims } = await mesh.ask<VerifyReply>(Rpc.authVerify, { token: accessToken })
      assert.equal(claims.memberId, memberId)
      await refused(Rpc.authVerify, { token: `${accessToken}x` }, 'token_invalid')
      await refused(Rpc.authVerify, { token: '' }, 'token_missing')
    })

    it('wrong password and unknown e-mail: the same code, the same text, about the same time', async () => {
      const { email } = (await newMember(mesh)).login
      const timed = async (who: string): Promise<{ ms: number; text: string }> => {
        const started = performance.now()
        const error: unknown = await mesh
          .ask(Rpc.authLogin, { email: who, password: 'wrong password' })
          .catch((reason) => reason)
        assert.ok(error instanceof Error && 'code' in error)
        assert.equal(error.code, 'credentials_invalid')
        return { ms: performance.now() - started, text: error.message }
      }
      const known: number[] = []
      const unknown: number[] = []
      for (let turn = 0; turn < 9; turn++) {
        const a = await timed(email)
        const b = await timed(`nobody${turn}@example.com`)
        assert.equal(a.text, b.text)
        known.push(a.ms)
        unknown.push(b.ms)
      }
      const ratio = median(known) / median(unknown)
      assert.ok(ratio > 0.5 && ratio < 2, `known ${median(known)} ms, unknown ${median(unknown)} ms`)
      for (const odd of ['', 'a', "' OR 1=1 --", 'ünï@example.com', `${'x'.repeat(240)}@example.com`]) {
        const expected = odd.length < 3 ? 'request_invalid' : 'credentials_invalid'
        await refused(Rpc.authLogin, { email: odd, password: 'x' }, expected)
      }
    })

    it('a password that was hashed at another cost is hashed anew at the next login', async () => {
      const { memberId, login } = await newMember(mesh)
      const old = await createHasher({ costLog2: 11, blockSize: 8, parallel: 1 }, 1).hash(login.password)
      await mesh.pool.query(
        'UPDATE credentials SET password_hash = ?, salt = ?, cost_log2 = 11, parallelism = 1 WHERE member_id = ?',
        [old.hash, old.salt, memberId],
      )
      await mesh.ask(Rpc.authLogin, login)
      const [rows] = await mesh.pool.query<Row[]>('SELECT * FROM credentials WHERE member_id = ?', [memberId])
      assert.deepEqual([rows[0]?.cost_log2, rows[0]?.parallelism], [10, 3])
      await mesh.ask(Rpc.authLogin, login)
    })

    it('guessing is limited per e-mail and place, and the right password does not help then', async () => {
      const { email, password } = (await newMember(mesh)).login
      const guess = { email, password: 'wrong password', clientHash: 'here' }
      for (let turn = 0; turn < 10; turn++) await refused(Rpc.authLogin, guess, 'credentials_invalid')
      const error: unknown = await mesh.ask(Rpc.authLogin, { ...guess, password }).catch((reason) => reason)
      assert.ok(error instanceof RpcError)
      assert.equal(error.code, 'login_rate_limited')
      const retryAfterS = Number(error.details?.retryAfterS)
      assert.ok(retryAfterS > 800 && retryAfterS <= 900)
      // From elsewhere the member comes in, however often.
      for (let turn = 0; turn < 15; turn++) await mesh.ask(Rpc.authLogin, { email, password, clientHash: 'there' })
    })

    it('guesses side by side do not pass the limit, nor does an unknown e-mail tell itself by having none', async () => {
      for (const email of [(await newMember(mesh)).login.email, 'not.there@example.com']) {
        const guesses = Array.from({ length: 40 }, () =>
          mesh.ask(Rpc.authLogin, { email, password: 'wrong password' }).catch((reason) => String(reason.code)),
        )
        const codes = await Promise.all(guesses)
        assert.equal(codes.filter((text) => text === 'credentials_invalid').length, 10)
        assert.equal(codes.filter((text) => text === 'login_rate_limited').length, 30)
      }
    })

    it('one place cannot try many e-mails for ever', async () => {
      await mesh.pool.query('UPDATE login_attempts SET attempts = 0')
      const clientHash = 'farm'
      const guess = (index: number) =>
        mesh
          .ask(Rpc.authLogin, { email: `guess${index}@example.com`, password: 'x', clientHash })
          .catch((reason) => String(reason.code))
      const codes: unknown[] = []
      for (let start = 0; start < 520; start += 40) {
        codes.push(...(await Promise.all(Array.from({ length: 40 }, (_, index) => guess(start + index)))))
      }
      assert.equal(codes.filter((text) => text === 'credentials_invalid').length, 500)
      assert.equal(codes.filter((text) => text === 'login_rate_limited').length, 20)
    })

    it('a refresh brings a new pair; a used token that comes again ends the session at once', async () => {
      const first = await newMember(mesh)
      const second = await mesh.ask<SessionReply>(Rpc.authRefresh, { refreshToken: first.refreshToken })
      assert.notEqual(second.refreshToken, first.refreshToken)
      assert.equal(second.refreshExpiresAtMs, first.refreshExpiresAtMs)
      assert.equal(code(second.accessToken), 'good')
      const other = await mesh.ask<SessionReply>(Rpc.authLogin, first.login)
      await refused(Rpc.authRefresh, { refreshToken: first.refreshToken }, 'refresh_reused')
      await becomes(second.accessToken, 'token_revoked')
      assert.equal(code(first.accessToken), 'token_revoked')
      await refused(Rpc.authRefresh, { refreshToken: second.refreshToken }, 'refresh_invalid')
      assert.equal(code(other.accessToken), 'good')
    })

    it('of two who refresh with one token at once one gets through, and the session ends', async () => {
      const { refreshToken } = await newMember(mesh)
      const results = await Promise.allSettled(
        [1, 2].map(() => mesh.ask<SessionReply>(Rpc.authRefresh, { refreshToken })),
      )
      const good = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
      const codes = results.flatMap((result) => (result.status === 'rejected' ? [result.reason.code] : []))
      assert.deepEqual(codes, ['refresh_reused'])
      assert.equal(good.length, 1)
      for (const { accessToken } of good) await becomes(accessToken, 'token_revoked')
    })

    it('refresh tokens that are none are refused, and the database holds none in the clear', async () => {
      const { refreshToken } = await newMember(mesh)
      for (const bad of ['x', `${refreshToken}x`, refreshToken.toLowerCase(), "' OR 1=1 --"]) {
        await refused(Rpc.authRefresh, { refreshToken: bad }, 'refresh_invalid')
      }
      const [rows] = await mesh.pool.query<Row[]>('SELECT * FROM refresh_tokens')
      for (const row of rows) assert.ok(!Buffer.concat([row.token_hash]).includes(refreshToken))
      await mesh.ask(Rpc.authRefresh, { refreshToken })
    })

    it('logging out ends one session, or all of them', async () => {
      const member = await newMember(mesh)
      const { memberId } = member
      const others = [
        await mesh.ask<SessionReply>(Rpc.authLogin, member.login),
        await mesh.ask<SessionReply>(Rpc.authLogin, member.login),
      ]
      const claims = mesh.verifier.verify(member.accessToken)
      assert.ok(!('code' in claims))
      await mesh.ask(Rpc.authLogout, { memberId, sessionId: claims.sessionId })
      await mesh.ask(Rpc.authLogout, { memberId, sessionId: claims.sessionId })
      await becomes(member.accessToken, 'token_revoked')
      await refused(Rpc.authRefresh, { refreshToken: member.refreshToken }, 'refresh_invalid')
      assert.deepEqual(
        others.map(({ accessToken }) => code(accessToken)),
        ['good', 'good'],
      )
      await mesh.ask(Rpc.authLogout, { memberId })
      for (const { accessToken } of others) await becomes(accessToken, 'token_revoked')
      for (const { refreshToken } of others) await refused(Rpc.authRefresh, { refreshToken }, 'refresh_invalid')
    })

    it("nobody ends another member's session", async () => {
      const [mine, theirs] = [await newMember(mesh), await newMember(mesh)]
      const claims = mesh.verifier.verify(theirs.accessToken)
      assert.ok(!('code' in claims))
      await mesh.ask(Rpc.authLogout, { memberId: mine.memberId, sessionId: claims.sessionId })
      await sleep(200)
      assert.equal(code(theirs.accessToken), 'good')
    })

    it('a new password ends all sessions and is the only one that is good', async () => {
      const member = await newMember(mesh)
      const { memberId } = member
      const { email, password } = member.login
      const newPassword = 'ein neues Paßwort'
      const change = (currentPassword: string, next: string) => ({ memberId, currentPassword, newPassword: next })
      await refused(Rpc.authChangePassword, change('wrong password', newPassword), 'credentials_invalid')
      await refused(Rpc.authChangePassword, change(password, 'short'), 'password_too_short')
      await mesh.ask(Rpc.authChangePassword, change(password, newPassword))
      await becomes(member.accessToken, 'token_revoked')
      await refused(Rpc.authLogin, { email, password }, 'credentials_invalid')
      // The same letters, typed as base letter and accent.
      await mesh.ask(Rpc.authLogin, { email, password: newPassword.normalize('NFD') })
      await refused(Rpc.authChangePassword, { ...change(password, newPassword), memberId: 1 }, 'member_unknown')
    })

    it('at most fifty sessions are open: the oldest ends', async () => {
      const first = await newMember(mesh)
      for (let turn = 0; turn < 49; turn++) await mesh.ask(Rpc.authLogin, first.login)
      assert.equal(code(first.accessToken), 'good')
      await mesh.ask(Rpc.authLogin, first.login)
      await becomes(first.accessToken, 'token_revoked')
    })
  })

  describe('tokens for programs', () => {
    it('are made with scopes, listed, and revoked at once', async () => {
      const { memberId } = await newMember(mesh)
      const request = { actorId: memberId, memberId, name: 'reader', scopes: ['read'] }
      const { tokenId, token, expiresAtMs } = await mesh.ask<TokenReply>(Rpc.authCreateToken, request)
      await mesh.ask(Rpc.authCreateToken, { ...request, name: 'trader', scopes: ['trade', 'read'], lifetimeDays: 1 })
      const claims = mesh.verifier.verify(token)
      assert.ok(!('code' in claims))
      assert.deepEqual([claims.scopes, claims.roles, claims.sessionId], [['read'], ['member'], undefined])
      assert.ok(Math.abs(expiresAtMs - Date.now() - 90 * 86_400_000) < 5000)
      const { tokens } = await mesh.ask<TokensReply>(Rpc.authListTokens, { actorId: memberId, memberId })
      assert.deepEqual(
        tokens.map(({ name, scopes }) => [name, scopes]),
        [
          ['trader', ['read', 'trade']],
          ['reader', ['read']],
        ],
      )
      const stranger = await newMember(mesh)
      const revoke = { actorId: memberId, memberId, tokenId }
      await refused(Rpc.authRevokeToken, { ...revoke, actorId: stranger.memberId }, 'forbidden')
      await refused(
        Rpc.authRevokeToken,
        { ...revoke, actorId: stranger.memberId, memberId: stranger.memberId },
        'token_unknown',
      )
      await refused(Rpc.authListTokens, { actorId: stranger.memberId, memberId }, 'forbidden')
      await refused(Rpc.authCreateToken, { ...request, actorId: stranger.memberId }, 'forbidden')
      assert.equal(code(token), 'good')
      await mesh.ask(Rpc.authRevokeToken, revoke)
      await mesh.ask(Rpc.authRevokeToken, revoke)
      await becomes(token, 'token_revoked')
      const after = await mesh.ask<TokensReply>(Rpc.authListTokens, { actorId: adminId, memberId })
      assert.deepEqual(
        after.tokens.map(({ name }) => name),
        ['trader'],
      )
    })

    it('have bounds', async () => {
      const { memberId } = await newMember(mesh)
      const request = { actorId: memberId, memberId, name: 'bot', scopes: ['read'] }
      await refused(Rpc.authCreateToken, { ...request, lifetimeDays: 366 }, 'lifetime_too_long')
      for (const scopes of [[], ['account'], ['read', 'read'], ['admin']]) {
        await refused(Rpc.authCreateToken, { ...request, scopes }, 'request_invalid')
      }
      for (let turn = 0; turn < 100; turn++) await mesh.ask(Rpc.authCreateToken, request)
      await refused(Rpc.authCreateToken, request, 'too_many_tokens')
    })

    it('a broker acts for those whom an admin lists, until he is no broker', async () => {
      const [broker, client] = [await newMember(mesh), await newMember(mesh)]
      const { memberId } = broker
      const members = [client.memberId]
      const request = { actorId: adminId, memberId, name: 'desk', scopes: ['read', 'trade'], members }
      await refused(Rpc.authCreateToken, request, 'not_a_broker')
      await refused(Rpc.authSetRoles, { actorId: memberId, memberId, roles: ['broker'] }, 'forbidden')
      await refused(Rpc.authSetRoles, { actorId: adminId, memberId: adminId, roles: [] }, 'own_roles')
      await mesh.ask(Rpc.authSetRoles, { actorId: adminId, memberId, roles: ['broker'] })
      await becomes(broker.accessToken, 'token_revoked')
      await refused(Rpc.authCreateToken, { ...request, actorId: memberId }, 'forbidden')
      await refused(Rpc.authCreateToken, { ...request, members: [1] }, 'member_unknown')
      const { token } = await mesh.ask<TokenReply>(Rpc.authCreateToken, request)
      const claims = mesh.verifier.verify(token)
      assert.ok(!('code' in claims))
      assert.deepEqual([claims.roles, claims.members], [['member', 'broker'], members])
      await mesh.ask(Rpc.authBlockMember, { actorId: adminId, memberId: client.memberId })
      await eventually(() => mesh.verifier.denialOf(client.memberId) === 'member_blocked')
      await refused(Rpc.authCreateToken, request, 'member_blocked')
      assert.equal(code(token), 'good')
      await mesh.ask(Rpc.authSetRoles, { actorId: adminId, memberId, roles: [] })
      await becomes(token, 'token_revoked')
    })
  })

  describe('admins', () => {
    it('nobody else does what they do', async () => {
      const { memberId } = await newMember(mesh)
      const requests: [string, object][] = [
        [Rpc.authListMembers, { limit: 10 }],
        [Rpc.authBlockMember, { memberId: adminId }],
        [Rpc.authUnblockMember, { memberId: adminId }],
        [Rpc.authSetRoles, { memberId, roles: ['admin'] }],
        [Rpc.authDenyList, { action: 'list', limit: 10 }],
        [Rpc.authDenyList, { action: 'add', email: 'x@example.com' }],
        [Rpc.authRotateKey, {}],
      ]
      for (const [subject, request] of requests) {
        await refused(subject, { actorId: memberId, ...request }, 'forbidden')
        await refused(subject, { actorId: 1, ...request }, 'forbidden')
        await refused(subject, request, 'request_invalid')
      }
    })

    it('block and unblock: tokens at once, login, and the account, in order', async () => {
      const member = await newMember(mesh)
      const { memberId } = member
      const { email, password } = member.login
      const order = { actorId: adminId, memberId, reason: 'a test' }
      await mesh.ask(Rpc.authBlockMember, order)
      await mesh.ask(Rpc.authBlockMember, order)
      await becomes(member.accessToken, 'member_blocked')
      await refused(Rpc.authLogin, { email, password }, 'member_blocked')
      await refused(Rpc.authLogin, { email, password: 'wrong password' }, 'credentials_invalid')
      await refused(Rpc.authRefresh, { refreshToken: member.refreshToken }, 'member_blocked')
      await mesh.ask(Rpc.authUnblockMember, order)
      await becomes(member.accessToken, 'good')
      await mesh.ask(Rpc.authRefresh, { refreshToken: member.refreshToken })
      const commands = await mesh.commands(memberId)
      assert.deepEqual(
        commands.map((command) => (command.type === 'SetAccountStatus' ? command.status : command.type)),
        ['CreateAccount', 'blocked', 'active'],
      )
      await refused(Rpc.authBlockMember, { ...order, memberId: 1 }, 'member_unknown')
      await refused(Rpc.authBlockMember, { ...order, memberId: adminId }, 'last_admin')
    })

    it('two admins who disagree leave bucket, log and database of one mind', async () => {
      const { memberId, accessToken } = await newMember(mesh)
      const orders = Array.from({ length: 40 }, (_, index) =>
        mesh.ask(index % 2 === 0 ? Rpc.authBlockMember : Rpc.authUnblockMember, { actorId: adminId, memberId }),
      )
      await Promise.all(orders)
      const { members } = await mesh.ask<MembersReply>(Rpc.authListMembers, { actorId: adminId, limit: 1, memberId })
      const status = members[0]?.status
      await becomes(accessToken, status === 'blocked' ? 'member_blocked' : 'good')
      const statuses = (await mesh.commands(memberId)).flatMap((command) =>
        command.type === 'SetAccountStatus' ? [command.status] : [],
      )
      assert.equal(statuses.at(-1), status)
      for (const [index, each] of statuses.entries()) assert.notEqual(each, statuses[index + 1])
    })

    it('list members by pages, e-mail or id', async () => {
      const { memberId, login } = await newMember(mesh)
      const { email } = login
      const seen: number[] = []
      for (let afterMemberId: number | undefined; ; ) {
        const page = { actorId: adminId, limit: 7, ...(afterMemberId === undefined ? {} : { afterMemberId }) }
        const { members } = await mesh.ask<MembersReply>(Rpc.authListMembers, page)
        seen.push(...members.map((member) => member.memberId))
        afterMemberId = members.at(-1)?.memberId
        if (members.length < 7) break
      }
      const [rows] = await mesh.pool.query<Row[]>('SELECT id FROM members ORDER BY id')
      assert.deepEqual(
        seen,
        rows.map((row) => Number(row.id)),
      )
      for (const filter of [{ memberId }, { email: email.toUpperCase() }]) {
        const { members } = await mesh.ask<MembersReply>(Rpc.authListMembers, { actorId: adminId, limit: 9, ...filter })
        assert.deepEqual(
          members.map((member) => [member.memberId, member.email, member.status, member.denied]),
          [[memberId, email, 'active', false]],
        )
      }
    })

    it('deny a member, or an e-mail whether registered or not', async () => {
      const member = await newMember(mesh)
      const { memberId } = member
      const { email, password } = member.login
      const entry = { actorId: adminId, action: 'add', reason: 'a test' }
      await mesh.ask(Rpc.authDenyList, { ...entry, memberId })
      await becomes(member.accessToken, 'member_denied')
      await mesh.ask(Rpc.authDenyList, { ...entry, email: email.toUpperCase() })
      await mesh.ask(Rpc.authDenyList, { actorId: adminId, action: 'remove', memberId })
      assert.equal(code(member.accessToken), 'member_denied')
      await refused(Rpc.authLogin, { email, password }, 'member_denied')
      await mesh.ask(Rpc.authDenyList, { actorId: adminId, action: 'remove', email })
      await becomes(member.accessToken, 'good')

      await mesh.ask(Rpc.authDenyList, { ...entry, email: 'unwanted@example.com' })
      await mesh.ask(Rpc.authDenyList, { ...entry, email: 'unwanted@example.com' })
      await refused(Rpc.authRegister, { email: 'Unwanted@example.com', password: 'correct horse' }, 'email_denied')
      const { entries } = await mesh.ask<DenyListReply>(Rpc.authDenyList, {
        actorId: adminId,
        action: 'list',
        limit: 10,
      })
      assert.deepEqual(
        entries.map((each) => [each.email, each.memberId, each.reason, each.createdBy]),
        [['unwanted@example.com', undefined, 'a test', adminId]],
      )
      await refused(Rpc.authDenyList, { ...entry, memberId: adminId }, 'own_denial')
      await refused(Rpc.authDenyList, { ...entry, email: ADMIN.email }, 'own_denial')
      await refused(Rpc.authDenyList, { ...entry, memberId: 1 }, 'member_unknown')
      await refused(Rpc.authDenyList, { ...entry, email: 'no address' }, 'email_invalid')
      await refused(Rpc.authDenyList, entry, 'request_invalid')
      // Denied, but his account is not touched.
      assert.deepEqual(
        (await mesh.commands(memberId)).map(({ type }) => type),
        ['CreateAccount'],
      )
    })

    it('change the key without anybody noticing: published first, used then, the old one kept', async () => {
      const before = await newMember(mesh)
      const { keyId, usedFromMs } = await mesh.ask<RotateKeyReply>(Rpc.authRotateKey, { actorId: adminId })
      const deadlineMs = usedFromMs + 8000
      const keysSeen = new Set<string | undefined>()
      while (Date.now() < deadlineMs && keysSeen.size < 2) {
        const { accessToken } = await mesh.ask<SessionReply>(Rpc.authLogin, before.login)
        assert.equal(code(accessToken), 'good')
        keysSeen.add(jwt.decode(accessToken, { complete: true })?.header.kid)
        await sleep(100)
      }
      assert.ok(keysSeen.has(keyId))
      assert.equal(keysSeen.size, 2)
      assert.equal(code(before.accessToken), 'good')
      await eventually(async () => (await mesh.ask<JwksReply>(Rpc.authJwks, {})).keys.length === 2, 8000)
    })
  })

  describe('seeding', () => {
    it('makes members with accounts and good tokens, thousands in a second or two', async () => {
      const started = performance.now()
      const members = await seedMembers(mesh.nats, { count: 6000, lifetimeS: 600 })
      const seconds = (performance.now() - started) / 1000
      console.log(`        6000 members in ${seconds.toFixed(2)} s`)
      assert.ok(seconds < 20)
      assert.equal(new Set(members.map(({ memberId }) => memberId)).size, 6000)
      for (const { memberId, accessToken } of members.filter((_, index) => index % 500 === 0)) {
        const claims = mesh.verifier.verify(accessToken)
        assert.ok(!('code' in claims))
        assert.equal(claims.memberId, memberId)
      }
      const one = members[4321]
      assert.ok(one)
      await mesh.ask(Rpc.authLogin, { email: one.email, password: one.password })
      assert.deepEqual(
        (await mesh.commands(one.memberId)).map(({ type }) => type),
        ['CreateAccount'],
      )
      const [left] = await mesh.pool.query<Row[]>('SELECT COUNT(*) AS count FROM auth_outbox')
      assert.equal(Number(left[0]?.count), 0)
    })
  })

  describe('what went wrong is put right', () => {
    it('commands that were written but not appended are appended by whoever comes by, in order', async () => {
      const { memberId } = await newMember(mesh)
      const command = (commandId: number, status: string) =>
        JSON.stringify({ type: 'SetAccountStatus', commandId, replyTo: '', memberId, status })
      const old = Date.now() - 60_000
      await mesh.pool.query('INSERT INTO auth_outbox (command_id, member_id, command, created_at_ms) VALUES ?', [
        [
          [9, memberId, command(9, 'blocked'), old],
          [8, memberId, command(8, 'active'), old],
        ],
      ])
      await eventually(async () => (await mesh.commands(memberId)).length === 3, 10_000)
      await sleep(2500)
      const ids = (await mesh.commands(memberId)).map(({ commandId }) => commandId)
      assert.deepEqual(ids.slice(1), [9, 8])
      const [left] = await mesh.pool.query<Row[]>('SELECT * FROM auth_outbox')
      assert.equal(left.length, 0)
    })

    it('a denial that was written but not published is published', async () => {
      const { accessToken, memberId } = await newMember(mesh)
      await mesh.pool.query('INSERT INTO denials VALUES (?, ?, ?, ?, 0)', [
        deniedKey.member(memberId),
        'member_blocked',
        Date.now() + 60_000,
        Date.now() - 60_000,
      ])
      await eventually(() => code(accessToken) === 'member_blocked', 10_000)
    })

    it('what is over leaves no row, no entry and no marker', async () => {
      const denials = createDenials({ nats: mesh.nats, pool: mesh.pool, replicas: 1, liftedMs: -1 })
      const { memberId } = await newMember(mesh)
      const [over, yet] = [deniedKey.session(String(memberId)), deniedKey.token(String(memberId))]
      await inTransaction(mesh.pool, async (connection) => {
        await denials.write(connection, [over], 'token_revoked', Date.now() + 300)
        await denials.write(connection, [yet], 'token_revoked', Date.now() + 60_000)
      })
      await denials.publish([over, yet])
      await eventually(() => mesh.verifier.denied.entries.has(over))
      await denials.sweep()
      assert.ok(mesh.verifier.denied.entries.has(over))
      await sleep(301)
      await denials.sweep()
      await eventually(() => !mesh.verifier.denied.entries.has(over))
      await denials.sweep()
      const [rows] = await mesh.pool.query<Row[]>('SELECT denied_key FROM denials WHERE denied_key IN (?)', [
        [over, yet],
      ])
      assert.deepEqual(
        rows.map((row) => row.denied_key),
        [yet],
      )
      const manager = await jetstreamManager(mesh.nats)
      const { state } = await manager.streams.info('KV_denied', { subjects_filter: `$KV.denied.*.${memberId}` })
      assert.deepEqual(Object.keys(state.subjects ?? {}), [`$KV.denied.${yet}`])
    })

    it('what the bucket lost comes back, and what it should not have goes', async () => {
      const [member, free] = [await newMember(mesh), await newMember(mesh)]
      await mesh.ask(Rpc.authBlockMember, { actorId: adminId, memberId: member.memberId })
      await becomes(member.accessToken, 'member_blocked')
      const bucket = await openBucket(mesh.nats, Bucket.denied)
      await bucket.purge(deniedKey.member(member.memberId))
      await bucket.put(
        deniedKey.member(free.memberId),
        JSON.stringify({ code: 'member_blocked', untilMs: Date.now() + 1e9 }),
      )
      await becomes(member.accessToken, 'good')
      await becomes(free.accessToken, 'member_blocked')
      await eventually(() => code(member.accessToken) === 'member_blocked' && code(free.accessToken) === 'good', 40_000)
    })
  })
}).timeout(120_000)

describe('auth at its start', function () {
  this.timeout(90_000)
  let mesh: AuthMesh
  before(async () => {
    mesh = await startAuthMesh(0)
  })
  after(() => mesh.stop())

  it('production mode refuses to make up a password, development makes one up and tells it once', async () => {
    const output = () => mesh.output.join('')
    const nobody = { EXCHANGE_ADMIN_PASSWORD: '', LOG_LEVEL: 'fatal' }
    const strict = mesh.start('auth', { ...nobody, EXCHANGE_MODE: 'production' })
    assert.equal(await exitOf(strict), 1)
    assert.match(output(), /EXCHANGE_ADMIN_PASSWORD must be set/)
    mesh.output.length = 0

    mesh.start('auth', nobody)
    mesh.start('auth', nobody)
    await eventually(() => /password \S+\n/.test(output()), 20_000)
    const password = /boss@example.com, password (\S+)/.exec(output())?.[1] ?? ''
    await eventually(async () =>
      (await mesh.ask<SessionReply>(Rpc.authLogin, { ...ADMIN, password })).roles.includes('admin'),
    )
    await sleep(2000)
    assert.equal(output().match(/password/g)?.length, 1)

    const production = mesh.start('auth', { EXCHANGE_MODE: 'production' })
    await sleep(2500)
    assert.equal(production.exitCode, null)
    const refusals: unknown[] = []
    for (let turn = 0; turn < 30; turn++) {
      await mesh.ask(Rpc.authSeed, { count: 1 }).catch((error) => refusals.push(error.code))
    }
    assert.ok(refusals.length > 0 && refusals.every((each) => each === 'seed_refused'))
  })

  it('several at first start agree on one key and one admin', async () => {
    const [keys] = await mesh.pool.query<Row[]>('SELECT id FROM signing_keys')
    const [admins] = await mesh.pool.query<Row[]>("SELECT id FROM members WHERE roles LIKE '%admin%'")
    assert.deepEqual([keys.length, admins.length], [1, 1])
  })

  it('a refused configuration names the setting', async () => {
    const bad: [string, string][] = [
      ['MYSQL_URL', 'nonsense'],
      ['ACCOUNT_SLOTS', '0'],
      ['ACCESS_TOKEN_S', '15m'],
      ['EXCHANGE_MODE', 'prod'],
    ]
    for (const [name, value] of bad) {
      mesh.output.length = 0
      assert.equal(await exitOf(mesh.start('auth', { [name]: value, LOG_LEVEL: 'fatal' })), 1)
      assert.ok(mesh.output.join('').includes(name), mesh.output.join(''))
    }
  })
})

describe('auth when something dies', function () {
  this.timeout(60_000)
  let mesh: AuthMesh
  let doomed: ChildProcess
  before(async () => {
    mesh = await startAuthMesh(0)
    doomed = mesh.start('auth')
    await ready(mesh)
  })
  after(() => mesh.stop())
  const loginOf = (member: NewMember) => mesh.ask<SessionReply>(Rpc.authLogin, member.login, 1000)
  const isGood = (token: string) => !('code' in mesh.verifier.verify(token))

  it('one of two: the other goes on, and tokens of the first stay good', async () => {
    const member = await newMember(mesh)
    mesh.start('auth')
    await sleep(1500)
    doomed.kill('SIGKILL')
    await eventually(async () => (await loginOf(member)).memberId === member.memberId)
    assert.ok(isGood(member.accessToken))
    await mesh.ask(Rpc.authRefresh, { refreshToken: member.refreshToken })
  })

  it('NATS: sessions go on when it is back', async () => {
    const member = await newMember(mesh)
    await mesh.natsServer.kill()
    await sleep(500)
    await mesh.natsServer.restart()
    await eventually(async () => isGood((await loginOf(member)).accessToken), 15_000)
    await mesh.ask(Rpc.authLogout, { memberId: member.memberId })
    await eventually(() => !isGood(member.accessToken))
  })

  it('MySQL: tokens are verified all the while, sessions go on when it is back', async () => {
    const member = await newMember(mesh)
    await mesh.mariadb.kill()
    await assert.rejects(loginOf(member), { code: 'database_unavailable' })
    await mesh.ask(Rpc.authVerify, { token: member.accessToken })
    await mesh.mariadb.restart()
    await eventually(async () => isGood((await loginOf(member)).accessToken), 15_000)
  })
})

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
