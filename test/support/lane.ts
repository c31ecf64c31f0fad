import { takePortsOf } from '#launcher/servers/ports.ts'

/** Read by every process that runs tests: those of two lanes must not take the same port while a server of one of them restarts. */
const worker = Number(process.env.MOCHA_WORKER_ID)
if (Number.isInteger(worker)) takePortsOf(worker, 4)
