// Mocha's usual report, and the counts alone on the last line, for machines that read logs. Where several runs are one, each adds
// its counts to the file that TEST_COUNTS names.
const { appendFileSync } = require('node:fs')
const { Runner, reporters } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      const { TEST_COUNTS: file } = process.env
      if (file) appendFileSync(file, `${passes} ${failures} ${pending}\n`)
      else console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
    })
  }
}
