// `npm run exchange -- help`: what an operator asks of the exchange, and tells it.
import { runCommandLine } from './cli.ts'

const { exitCode, output, isError } = await runCommandLine(process.argv.slice(2), process.env)
if (isError) console.error(output)
else console.log(output)
process.exitCode = exitCode
