import type { Static, TSchema } from 'typebox'
import Type from 'typebox'
import { checked } from '#mesh/checked.ts'
import { isUnreachable } from '#mesh/mysql.ts'
import {
  BlockMemberRequest,
  ChangePasswordRequest,
  CloseMemberRequest,
  CreateTokenRequest,
  DenyListRequest,
  type JwksReply,
  ListMembersRequest,
  ListTokensRequest,
  LoginRequest,
  LogoutRequest,
  RefreshRequest,
  RegisterRequest,
  RevokeTokenRequest,
  RotateKeyRequest,
  SeedRequest,
  SetRolesRequest,
  type VerifyReply,
  VerifyRequest,
} from '#mesh/protocol/auth.ts'
import { RpcError, serveRpc } from '#mesh/rpc.ts'
import { Rpc } from '#mesh/subjects.ts'
import { denyList } from './deny-list.ts'
import { blockMember, closeMember, listMembers, register, requireAdmin, setRoles, unblockMember } from './members.ts'
import type { AuthParts } from './parts.ts'
import { changePassword } from './passwords.ts'
import { createToken, listTokens, revokeToken } from './program-tokens.ts'
import { seed } from './seed.ts'
import { login, logout, refresh } from './sessions.ts'

/** Every subject that auth answers. */
export function serveAuth(parts: AuthParts): void {
  const { nats, log } = parts
  const serve = <Schema extends TSchema>(
    subject: string,
    schema: Schema,
    answer: (parts: AuthParts, request: Static<Schema>) => Promise<object>,
  ): void => {
    const parse = checked(schema)
    const onFailure = (err: unknown) => log.error({ err, subject }, 'a request failed')
    serveRpc(nats, subject, 'auth', (request) => answer(parts, parse(request)).catch(rethrow), onFailure)
  }
  serve(Rpc.authRegister, RegisterRequest, register)
  serve(Rpc.authLogin, LoginRequest, login)
  serve(Rpc.authRefresh, RefreshRequest, refresh)
  serve(Rpc.authLogout, LogoutRequest, logout)
  serve(Rpc.authChangePassword, ChangePasswordRequest, changePassword)
  serve(Rpc.authCloseMember, CloseMemberRequest, closeMember)
  serve(Rpc.authCreateToken, CreateTokenRequest, createToken)
  serve(Rpc.authListTokens, ListTokensRequest, listTokens)
  serve(Rpc.authRevokeToken, RevokeTokenRequest, revokeToken)
  serve(Rpc.authListMembers, ListMembersRequest, listMembers)
  serve(Rpc.authBlockMember, BlockMemberRequest, blockMember)
  serve(Rpc.authUnblockMember, BlockMemberRequest, unblockMember)
  serve(Rpc.authSetRoles, SetRolesRequest, setRoles)
  serve(Rpc.authDenyList, DenyListRequest, denyList)
  serve(Rpc.authRotateKey, RotateKeyRequest, async ({ signer }, { actorId }) => {
    await requireAdmin(parts, actorId)
    return await signer.rotate()
  })
  serve(Rpc.authVerify, VerifyRequest, async ({ verifier }, { token }): Promise<VerifyReply> => {
    const claims = verifier.verify(token)
    if ('code' in claims) throw new RpcError(claims.code, 'The token is not good.')
    return { claims }
  })
  serve(Rpc.authJwks, Type.Object({}), async ({ signer }): Promise<JwksReply> => ({ keys: signer.publicKeys() }))
  serve(Rpc.authSeed, SeedRequest, seed)
}

function rethrow(error: unknown): never {
  if (!isUnreachable(error)) throw error
  throw new RpcError('database_unavailable', 'MySQL cannot be reached.')
}
