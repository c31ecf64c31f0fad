import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import type { Row } from '#mesh/mysql.ts'
import type { LogoutRequest, SessionReply, SetRolesRequest } from '#mesh/protocol/auth.ts'
import { Rpc } from '#mesh/subjects.ts'
import { ADMIN, type AuthMesh, eventually, newMember, startAuthMesh } from '#services/auth/testing.ts'
import { createSessions, type Sessions } from './sessions.ts'

/** A token with less than five seconds left is replaced: with these, after one. */
const ACCESS_TOKEN_S = '6'
const ADDRESS = '127.0.0.1'

describe("sessions of the operator's page, on a real auth", function () {
  this.timeout(60_000)
  let mesh: AuthMesh
  let sessions: Sessions
  let adminId: number

  before(async () => {
    mesh = await startAuthMesh(1, { ACCESS_TOKEN_S })
    adminId = (await mesh.ask<SessionReply>(Rpc.authLogin, ADMIN)).memberId
    sessions = createSessions(mesh.nats, mesh.verifier, pino({ level: 'silent' }))
  })
  after(async () => {
    await sessions?.stop()
    await mesh?.stop()
  })

  const count = async (sql: string, ...values: number[]): Promise<number> => {
    const [[row]] = await mesh.pool.query<Row[]>(`SELECT COUNT(*) AS count FROM ${sql}`, values)
    return Number(row?.count)
  }
  const openSessions = (memberId: number) => count('sessions WHERE member_id = ? AND ended_at_ms IS NULL', memberId)

  it('begin for an admin, under a name that says nothing', async () => {
    const key = await sessions.begin(ADMIN, ADDRESS)
    assert.match(key, /^[A-Za-z0-9_-]{43}$/)
    assert.deepEqual(await sessions.admin(key), { memberId: adminId, email: ADMIN.email })
    for (const other of ['', 'toString', key.toLowerCase(), `${key}a`]) {
      assert.equal(await sessions.admin(other), undefined)
    }
  })

  it('do not begin for a member, nor with a wrong password; nothing is left open', async () => {
    const member = await newMember(mesh)
    const before = await openSessions(member.memberId)
    await assert.rejects(sessions.begin(member.login, ADDRESS), { code: 'admins_only' })
    assert.equal(await openSessions(member.memberId), before)
    await assert.rejects(sessions.begin({ ...ADMIN, password: 'another' }, ADDRESS), { code: 'credentials_invalid' })
  })

  it('go on with new tokens, one for all who ask at once', async () => {
    const key = await sessions.begin(ADMIN, ADDRESS)
    const used = await count('refresh_tokens WHERE used_at_ms IS NOT NULL')
    await sleep(1_200)
    const found = await Promise.all(Array.from({ length: 20 }, () => sessions.admin(key)))
    assert(found.every((admin) => admin?.memberId === adminId))
    assert.equal(await count('refresh_tokens WHERE used_at_ms IS NOT NULL'), used + 1)
  })

  it('end at once when they are ended elsewhere, with the role, and by the admin himself', async () => {
    const other = await newMember(mesh)
    const roles = (of: SetRolesRequest['roles']) =>
      mesh.ask(Rpc.authSetRoles, { actorId: adminId, memberId: other.memberId, roles: of } satisfies SetRolesRequest)
    await roles(['admin'])
    const first = await sessions.begin(other.login, ADDRESS)
    assert.equal((await sessions.admin(first))?.memberId, other.memberId)
    await roles([])
    await eventually(async () => (await sessions.admin(first)) === undefined)

    const second = await sessions.begin(ADMIN, ADDRESS)
    await mesh.ask(Rpc.authLogout, { memberId: adminId } satisfies LogoutRequest)
    await eventually(async () => (await sessions.admin(second)) === undefined)

    const third = await sessions.begin(ADMIN, ADDRESS)
    await sessions.end(third)
    assert.equal(await sessions.admin(third), undefined)
    assert.equal(await openSessions(adminId), 0)
  })

  it('end at auth too when the page stops', async () => {
    await sessions.begin(ADMIN, ADDRESS)
    await sessions.begin(ADMIN, ADDRESS)
    assert.equal(await openSessions(adminId), 2)
    await sessions.stop()
    assert.equal(await openSessions(adminId), 0)
  })
})
