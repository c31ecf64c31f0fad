import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { makeBusUsers } from '#mesh/bus-users.ts'
import { slotsFromEnv } from '#mesh/config.ts'
import { busUsers } from '#mesh/permissions.ts'
import type { Command } from '../command.ts'

const DIRECTORY_DEFAULT = '.exchange/nkeys'

export const busUsersCommand: Command = {
  name: 'bus-users',
  arguments: ['[DIRECTORY]'],
  options: {},
  summary: 'Make a key for each user of the bus, and what nats-server has to know of them.',
  help: `Each service is a user of its own, who may publish and hear what it needs and nothing else (mesh/permissions.ts). Keys that are
there stay. Without DIRECTORY it is NATS_NKEY_DIR, else ${DIRECTORY_DEFAULT}. A service needs NATS_NKEY_DIR with its own <service>.nk in it, and
no other; operators need operator.nk. The server needs users.conf, which holds public keys alone, by an include in its configuration.
The slots are those of ACCOUNT_SLOTS and MARKET_SLOTS. npm start does all this by itself where NATS_NKEY_DIR is set.`,
  example: 'bus-users /etc/exchange/nkeys',
  run: async ({ env }, { positionals: [named] }) => {
    const directory = resolve(named ?? (env.NATS_NKEY_DIR || DIRECTORY_DEFAULT))
    const config = join(directory, 'users.conf')
    writeFileSync(config, makeBusUsers(directory, slotsFromEnv(withoutEmpty(env))), { flag: 'w' })
    const users = busUsers()
    return {
      json: { directory, config, users },
      text: `✔ ${users.length} users in ${directory}: ${users.join(', ')}.\n  For nats-server: include ${config}`,
    }
  },
}

/** What compose leaves empty is not set. */
const withoutEmpty = (env: Readonly<Record<string, string | undefined>>) =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''))
