/** Version 1 of the event topics. A change that a reader of version 1 would not understand makes a new family, beside it. */
export const Topic = {
  orders: 'exchange.orders.v1',
  balances: 'exchange.balances.v1',
  members: 'exchange.members.v1',
  deals: 'exchange.deals.v1',
  books: 'exchange.books.v1',
  definitions: 'exchange.definitions.v1',
} as const
export type Topic = (typeof Topic)[keyof typeof Topic]

/** The topics that the slots of each log are written to, each slot to the partition of its number. The first keeps the position. */
export const TOPICS_OF_LOG = {
  accounts: [Topic.orders, Topic.balances, Topic.members],
  markets: [Topic.deals, Topic.books],
  definitions: [Topic.definitions],
} as const
