/**
 * The reference: a bare Hapi server, one process, that takes the same bodies and answers a constant of the same size.
 * Arguments: the size in bytes. Tells its port to its parent.
 */
import { server as createServer } from '@hapi/hapi'

const [bytes] = process.argv.slice(2).map(Number)
const head = '{"id":"7204123551744001","filler":"'
const constant = `${head}${'x'.repeat(Math.max(0, (bytes ?? 0) - head.length - 2))}"}`

const server = createServer({ host: '127.0.0.1', port: 0 })
server.route({
  method: 'POST',
  path: '/api/v3/order',
  handler: (_request, h) => h.response(constant).type('application/json').code(201),
})
await server.start()
process.send?.({ port: server.info.port })
process.on('disconnect', () => process.exit())
