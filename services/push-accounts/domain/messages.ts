import { formatMinor } from '#mesh/edge/decimal.ts'
import type { AccountEvent, BalanceAfter } from '#mesh/protocol/accounts.ts'

interface Text {
  readonly memberId: number
  readonly text: string
}

/** What changed of a member's balances, and why. */
export function balanceText(event: AccountEvent, scaleOf: (asset: string) => number): Text | undefined {
  if (!('balances' in event) || event.balances.length === 0) return undefined
  const [memberId, about] = aboutOf(event, scaleOf)
  return { memberId, text: `"memberId":"${memberId}",${about},"balances":${balancesJson(event.balances, scaleOf)}` }
}

type Booked = Extract<AccountEvent, { readonly balances: readonly BalanceAfter[] }>

/** Members of the JSON object that say why. */
function aboutOf(event: Booked, scaleOf: (asset: string) => number): [memberId: number, about: string] {
  switch (event.type) {
    case 'OrderPlaced':
      return [event.order.memberId, `"cause":"reserved","orderId":"${event.order.orderId}"`]
    case 'OrderChanged':
      return [event.order.memberId, `"cause":"${event.cause}","orderId":"${event.order.orderId}"`]
    case 'OrderAmendForwarded':
      return [event.memberId, `"cause":"reserved","orderId":"${event.orderId}"`]
    case 'OrderCommandRefused':
      return [event.memberId, `"cause":"released","orderId":"${event.orderId}"`]
    case 'BalanceChanged': {
      const { memberId, cause, reference, asset, amountMinor } = event
      const amount = formatMinor(amountMinor, scaleOf(asset))
      const about = `"cause":"${cause}","reference":${JSON.stringify(reference)},"asset":"${asset}","amount":"${amount}"`
      return [memberId, about]
    }
    default:
      return event satisfies never
  }
}

function balancesJson(balances: readonly BalanceAfter[], scaleOf: (asset: string) => number): string {
  const all = balances.map(([asset, availableMinor, heldMinor]) => {
    const write = (minor: string): string => formatMinor(minor, scaleOf(asset))
    const totalMinor = (BigInt(availableMinor) + BigInt(heldMinor)).toString()
    return `{"asset":"${asset}","available":"${write(availableMinor)}","held":"${write(heldMinor)}","total":"${write(totalMinor)}"}`
  })
  return `[${all.join()}]`
}
