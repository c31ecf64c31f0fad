import type { LauncherConfig } from './config.ts'

/** What the operator's page links to where it is there: what runs beside `npm start` has the ports of compose. */
const BESIDE = ['Grafana=http://localhost:3001', 'Prometheus=http://localhost:9090', 'Jaeger=http://localhost:16686']

export function operatorLinks(config: LauncherConfig, publicUrl: string, withTraefik: boolean): string {
  const traefik = withTraefik ? [`Traefik=http://localhost:${config.dashboardPort}/dashboard/`] : []
  const own = config.env.OPERATOR_LINKS || []
  return [`Trading=${publicUrl}/`, `API=${publicUrl}/docs`, ...traefik, ...BESIDE].concat(own).join(',')
}
