import { kafkaProgram } from './kafka-program.ts'
import {
  mariadbPrograms,
  natsProgram,
  type Report,
  rabbitmqPrograms,
  redisProgram,
  traefikProgram,
} from './programs.ts'
import { prometheusPrograms } from './prometheus.ts'

/** Every program that the mesh and its tests run, installed where it is missing and can be. What cannot be had is told and left to whoever needs it. */
export async function installPrograms(report: Report): Promise<void> {
  for (const install of [
    natsProgram,
    mariadbPrograms,
    redisProgram,
    traefikProgram,
    rabbitmqPrograms,
    kafkaProgram,
    prometheusPrograms,
  ]) {
    await install(report).catch((error: Error) => report(error.message))
  }
}
