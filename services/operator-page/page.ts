import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'

const FOLDER = join(import.meta.dirname, 'page')
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.js': 'text/javascript',
  '.svg': 'image/svg+xml',
}
const WORDS_PLACE = '<!-- words -->'

export interface Page {
  readonly index: string
  /** With what went wrong, if something did. */
  login(words: string): string
  /** By file name. */
  readonly assets: ReadonlyMap<string, Asset>
}

interface Asset {
  readonly type: string
  readonly content: Buffer
  readonly etag: string
}

/** The page's files, read once: plain HTML, CSS and modules, as they are in the folder `page`. */
export async function readPage(): Promise<Page> {
  const [index, login, names] = await Promise.all([
    readFile(join(FOLDER, 'index.html'), 'utf8'),
    readFile(join(FOLDER, 'login.html'), 'utf8'),
    readdir(FOLDER),
  ])
  const assets = new Map<string, Asset>()
  for (const name of names) {
    const type = TYPES[extname(name)]
    if (type === undefined) continue
    const content = await readFile(join(FOLDER, name))
    assets.set(name, { type, content, etag: createHash('sha256').update(content).digest('base64url').slice(0, 16) })
  }
  return { index, login: (words) => login.replace(WORDS_PLACE, words === '' ? '' : alert(words)), assets }
}

/** The words are ours: nothing that somebody sent is in them. */
const alert = (words: string): string => `<p class="alert" role="alert">${words}</p>`
