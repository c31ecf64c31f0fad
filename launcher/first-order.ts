import type { AdminAccount } from './mesh.ts'

export type Entry = { publicUrl: string; admin: Pick<AdminAccount, 'email' | 'path'> }

/** A first order as text for a shell: two members, funds for both, a sell, a buy, and both filled. */
export function firstOrder({ publicUrl, admin }: Entry): string {
  const password = admin.path === undefined ? '"$EXCHANGE_ADMIN_PASSWORD"' : `"$(cat '${admin.path}')"`
  return `api=${publicUrl}/api/v3 run=$(date +%s)
call() { curl -sS -X "$1" "$api$2" -H "authorization: Bearer $3" -H 'content-type: application/json' \${4:+-d "$4"}; echo; }
field() { sed -E "s/.*\\"$1\\":\\"([^\\"]*)\\".*/\\1/"; }
json() { printf '{'; while [ $# -gt 2 ]; do printf '"%s":"%s",' "$1" "$2"; shift 2; done; printf '"%s":"%s"}' "$1" "$2"; }
register() { call POST /members '' "$(json email "$1-$run@example.com" password "$1-$run-secret")" | field id; }
login() { call POST /sessions '' "$(json email "$1" password "$2")" | field accessToken; }
deposit() { call POST /admin/deposits "$admin" "$(json reference "$run-$2" memberId "$1" asset "$2" amount "$3")"; }
order() { call POST /order "$1" "$(json instrument BTC-USDT side "$2" type limit price 60000 amount 0.1)" | field id; }

seller=$(register seller) buyer=$(register buyer)
admin=$(login ${admin.email} ${password})
deposit "$seller" BTC 1; deposit "$buyer" USDT 10000
sellerToken=$(login seller-$run@example.com seller-$run-secret)
buyerToken=$(login buyer-$run@example.com buyer-$run-secret)
sell=$(order "$sellerToken" sell); buy=$(order "$buyerToken" buy)
call GET "/order/$sell" "$sellerToken"; call GET "/order/$buy" "$buyerToken"
`
}
