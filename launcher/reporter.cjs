// Mocha's usual report, and the counts alone on the last line, for machines that read logs.
const { Runner, reporters } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = this.stats
      console.log(`${passes} passed, ${failures} failed, ${pending} skipped`)
    })
  }
}
