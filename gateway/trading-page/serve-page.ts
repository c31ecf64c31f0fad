import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Request, Server } from '@hapi/hapi'
import { type File, fileHandler } from '../http/files.ts'

const FOLDER = join(import.meta.dirname, 'page')
const INDEX = 'index.html'
const PREFIX = '/page'

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}

/** What the page needs of packages, under the names that it knows. Nothing is fetched from anywhere else. */
const PACKAGES = [
  {
    name: 'lightweight-charts.js',
    type: 'text/javascript',
    path: () => new URL('lightweight-charts.standalone.production.mjs', import.meta.resolve('lightweight-charts')),
  },
  {
    name: 'inter.woff2',
    type: 'font/woff2',
    path: () => new URL(import.meta.resolve('@fontsource-variable/inter/files/inter-latin-wght-normal.woff2')),
  },
] as const

/** Scripts, styles, pictures and requests come from here alone, nothing is inline, and no text ever becomes HTML or code. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "font-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const FOREVER = 'public, max-age=31536000, immutable'

type Content = Pick<File, 'type' | 'content'>

/**
 * The page to trade on, at `/`. Its files lie under a path with a hash of all of them, so that browsers keep them for good
 * and a new release is another path.
 */
export async function servePage(server: Server): Promise<void> {
  const files = await readFiles()
  const version = versionOf(files)
  const index = fileHandler({
    type: 'text/html',
    content: withPaths(await readFile(join(FOLDER, INDEX), 'utf8'), files, `${PREFIX}/${version}`),
    policy: POLICY,
  })
  server.route({ method: 'GET', path: '/', handler: index })

  // Asked for under another release's version it is what there is, and nobody may keep it under that name.
  const cacheControl = ({ params }: Request): string => (params.version === version ? FOREVER : 'no-cache')
  for (const [name, file] of files) {
    const handler = fileHandler({ ...file, policy: POLICY, cacheControl })
    server.route({ method: 'GET', path: `${PREFIX}/{version}/${name}`, handler })
  }
}

async function readFiles(): Promise<Map<string, Content>> {
  const files = new Map<string, Content>()
  for (const name of (await readdir(FOLDER)).sort()) {
    const type = TYPES[extname(name)]
    if (type !== undefined) files.set(name, { type, content: await readFile(join(FOLDER, name)) })
  }
  for (const { name, type, path } of PACKAGES) {
    files.set(name, { type, content: await readFile(fileURLToPath(path())) })
  }
  return files
}

function versionOf(files: ReadonlyMap<string, Content>): string {
  const hash = createHash('sha256')
  for (const [name, { content }] of files) hash.update(name).update('\0').update(content).update('\0')
  return hash.digest('base64url').slice(0, 16)
}

/** Names of files become their paths; modules and the typeface are asked for at once, not when the one before them is there. */
function withPaths(html: string, files: ReadonlyMap<string, Content>, folder: string): string {
  const modules = [...files.keys()].filter((name) => name.endsWith('.js') && !html.includes(`src="${name}"`))
  const preloads = [
    `<link rel="preload" href="inter.woff2" as="font" type="font/woff2" crossorigin>`,
    ...modules.map((name) => `<link rel="modulepreload" href="${name}">`),
  ]
  return html
    .replace('</head>', `${preloads.join('\n')}\n</head>`)
    .replace(/(href|src)="([a-z0-9.-]+)"/g, (whole, attribute: string, name: string) =>
      files.has(name) ? `${attribute}="${folder}/${name}"` : whole,
    )
}
