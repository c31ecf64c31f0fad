import assert from 'node:assert/strict'
import { runCommandLine } from './cli.ts'
import { COMMANDS } from './commands.ts'
import { duration, table } from './table.ts'

describe("the operator's command line", () => {
  const run = (...args: string[]) => runCommandLine(args, {})

  it('teaches every command in its help', async () => {
    const { output, exitCode } = await run('help')
    assert.equal(exitCode, 0)
    assert.equal((await run()).output, output)
    assert.equal((await run('--help')).output, output)
    for (const { name, arguments: args, summary } of COMMANDS) {
      assert(output.includes(`  ${[name, ...args].join(' ')} `), name)
      assert(output.includes(summary), name)
      const own = await run('help', ...name.split(' '))
      assert.equal(own.exitCode, 0)
      assert.match(own.output, new RegExp(`npm run exchange -- ${name}`))
      assert.deepEqual(await run(...name.split(' '), '--help'), own)
    }
    assert.match((await run('help', 'history')).output, /--limit COUNT .*1 to 500/)
  })

  const wrong: [args: string[], said: string][] = [
    [['stat'], 'There is no command "stat". Did you mean status or stats rebuild? See: npm run exchange -- help'],
    [['xyz'], 'There is no command "xyz". See: npm run exchange -- help'],
    [['alerts'], 'There is no command "alerts". Did you mean alerts test? See: npm run exchange -- help'],
    [['balances'], 'balances needs MEMBER: npm run exchange -- balances MEMBER'],
    [['status', 'now'], 'status takes no "now": npm run exchange -- status'],
    [['status', '--limit', '3'], 'status has no option --limit.'],
    [['clear-slot', 'engine'], 'clear-slot needs SLOT: npm run exchange -- clear-slot SERVICE SLOT'],
  ]
  for (const [args, said] of wrong) {
    it(`says what is wrong with "${args.join(' ')}"`, async () => {
      assert.deepEqual(await run(...args), { exitCode: 2, output: `✖ ${said}`, isError: true })
    })
  }

  it('does not take an option that it does not know, nor one without its value', async () => {
    for (const args of [
      ['status', '--jsn'],
      ['history', '1', '--limit'],
    ]) {
      const { exitCode, output } = await run(...args)
      assert.equal(exitCode, 2)
      assert.match(output, /See: npm run exchange -- help$/)
    }
  })

  it('lines columns up, and says durations as people do', () => {
    assert.equal(
      table(
        ['A', 'LONG'],
        [
          ['longer', null],
          ['b', 2],
        ],
      ),
      'A       LONG\nlonger\nb       2',
    )
    assert.equal(table(['A'], []), 'None.')
    assert.deepEqual([59, 60, 3_660, 90_000].map(duration), ['59 s', '1 min', '1 h 1 min', '1 d 1 h'])
  })
})
