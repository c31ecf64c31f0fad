import type { AdminAccount } from './mesh.ts'

/** A first order as text for a shell: two members, funds for both, a sell, a buy, and both filled. */
export function firstOrder({ publicUrl, admin }: { publicUrl: string; admin: AdminAccount }): string {
  const password = admin.path === undefined ? '"$EXCHANGE_ADMIN_PASSWORD"' : `"$(cat '${admin.path}')"`
  return `
A first order, to paste into another terminal:

api=${publicUrl}/api/v3 run=$(date +%s)
call() { curl -sS -X "$1" "$api$2" -H "authorization: Bearer $3" -H 'content-type: application/json' \${4:+-d "$4"}; }
field() { sed -E "s/.*\\"$1\\":\\"([^\\"]*)\\".*/\\1/"; }
member() { call POST /members '' "{\\"email\\":\\"$1-$run@example.com\\",\\"password\\":\\"a long $1 password\\"}" | field id; }
login() { call POST /sessions '' "{\\"email\\":\\"$1\\",\\"password\\":\\"$2\\"}" | field accessToken; }
deposit() { call POST /admin/deposits "$admin" "{\\"reference\\":\\"first-$run-$1\\",\\"memberId\\":\\"$1\\",\\"asset\\":\\"$2\\",\\"amount\\":\\"$3\\"}"; echo; }
order() { call POST /order "$1" "{\\"instrument\\":\\"BTC-USDT\\",\\"side\\":\\"$2\\",\\"type\\":\\"limit\\",\\"price\\":\\"60000\\",\\"amount\\":\\"0.1\\"}" | field id; }
seller=$(member seller) buyer=$(member buyer)
admin=$(login ${admin.email} ${password})
deposit "$seller" BTC 1; deposit "$buyer" USDT 10000
sellerToken=$(login "seller-$run@example.com" 'a long seller password')
buyerToken=$(login "buyer-$run@example.com" 'a long buyer password')
sell=$(order "$sellerToken" sell); buy=$(order "$buyerToken" buy)
call GET "/order/$sell" "$sellerToken"; echo; call GET "/order/$buy" "$buyerToken"; echo
`
}
