import { chainHash } from '#mesh/domain/chain.ts'
import { type LogMessage, SlotFold } from '#mesh/machine/slot.ts'
import { encodePairMessage } from '#mesh/machine/wire.ts'
import type { AccountEdgeCommand } from '#mesh/protocol/accounts.ts'
import { encodeLine } from '#mesh/protocol/compact.ts'
import type { MarketDefinition } from '#mesh/protocol/definitions.ts'
import { Log } from '#mesh/subjects.ts'
import { createAccountsRules } from '#services/accounts/domain/accounts-rules.ts'
import { engineRules } from '#services/engine/domain/rules.ts'

const START_US = 1_700_000_000_000_000

export interface InMemoryLogs {
  readonly accounts: LogMessage[]
  readonly markets: LogMessage[]
  /** The chains over both slots' inputs and events. */
  readonly accountsHash: number
  readonly marketsHash: number
}

/** What one account slot and one engine slot have in their logs after these messages of the edge. */
export function inMemoryLogs(
  market: MarketDefinition,
  assets: readonly string[],
  messages: Iterable<readonly AccountEdgeCommand[]>,
): InMemoryLogs {
  const logs = { accounts: [] as LogMessage[], markets: [] as LogMessage[] }
  const folds = {
    accounts: new SlotFold(createAccountsRules({ accountSlots: 1, marketSlots: 1 }), 0),
    markets: new SlotFold(engineRules, 0),
  }
  const ends = new Map<string, { count: number; hash: number }>()
  let timeUs = START_US
  const store = (log: 'accounts' | 'markets', source: string, items: readonly string[]): void => {
    let text = items.join('\n')
    if (source !== 'cmd') {
      const end = ends.get(`${log}<${source}`) ?? { count: 0, hash: 0 }
      text = encodePairMessage({ first: end.count + 1, before: end.hash }, items)
      ends.set(`${log}<${source}`, { count: end.count + items.length, hash: items.reduce(chainHash, end.hash) })
    }
    const fold = folds[log]
    const message = { sequence: logs[log].length + 1, timeUs: timeUs++, source, text }
    logs[log].push(message)
    for (let from = 0; from >= 0; ) {
      from = fold.apply(message, from)
      fold.takeDraft()
    }
    const sent = Array.from(fold.pairsOut.values(), ({ subject, unsent }) => ({ subject, unsent }))
    fold.forgetSent()
    for (const { subject, unsent } of sent) {
      const target = subject.slice(0, subject.indexOf('.'))
      if (unsent.length > 0 && target !== Log.definitions) store(target as 'accounts' | 'markets', `${log}-0`, unsent)
    }
  }
  const define = (item: object): string => JSON.stringify(item)
  store(
    'accounts',
    'definitions-0',
    assets.map((asset) => define({ type: 'AssetKnown', asset: { asset, scale: 8 } })),
  )
  store('accounts', 'definitions-0', [define({ type: 'MarketKnown', market })])
  store('markets', 'definitions-0', [define({ type: 'OpenMarket', commandId: 1, replyTo: '', market })])
  for (const commands of messages) store('accounts', 'cmd', commands.map(encodeLine))
  return { ...logs, accountsHash: folds.accounts.hash, marketsHash: folds.markets.hash }
}
