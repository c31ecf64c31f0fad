/** Where orders come from and what becomes of them is told. */
export const Topic = {
  commands: 'orders.commands',
  results: 'orders.results',
  deadLetters: 'orders.dead-letters',
} as const
