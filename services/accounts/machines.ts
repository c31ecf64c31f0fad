import type { Machine } from '#mesh/machine/snapshots/machine.ts'
import type { AccountEvent, AccountItem } from '#mesh/protocol/accounts.ts'
import type { DefinitionCommand, DefinitionEvent } from '#mesh/protocol/definitions.ts'
import type { AccountsConfig } from './config.ts'
import { createAccountsRules } from './domain/accounts-rules.ts'
import type { AccountsState } from './domain/accounts-state.ts'
import { createDefinitionsRules, type DefinitionsState } from './domain/definitions-rules.ts'
import { createReads, type Reads } from './reads.ts'

/** The machines of this service, as the process and the helper beside it run them. */
export function createMachines({ shape, recentOrdersMax }: Pick<AccountsConfig, 'shape' | 'recentOrdersMax'>): {
  readonly definitions: Machine<DefinitionsState, DefinitionCommand, DefinitionEvent>
  readonly accounts: Machine<AccountsState, AccountItem, AccountEvent>
  readonly reads: Reads
} {
  const reads = createReads({ recentOrdersMax })
  return {
    definitions: { rules: createDefinitionsRules(shape) },
    accounts: { rules: createAccountsRules(shape), observe: reads.observe, memory: reads.memory },
    reads,
  }
}
