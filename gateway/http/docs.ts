import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Server } from '@hapi/hapi'
import { fileHandler } from './files.ts'

/** Swagger UI's own files, from its package; nothing is fetched from anywhere else. */
const FILES = { 'swagger-ui-bundle.js': 'text/javascript', 'swagger-ui.css': 'text/css' } as const

const PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Exchange API</title>
<link rel="stylesheet" href="/docs/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="api"></div>
<script src="/docs/swagger-ui-bundle.js"></script>
<script src="/docs/start.js"></script>
</body>
</html>
`

const START = (documentPath: string): string =>
  `SwaggerUIBundle({ url: ${JSON.stringify(documentPath)}, dom_id: '#api', deepLinking: true, validatorUrl: null, persistAuthorization: true, docExpansion: 'list', defaultModelsExpandDepth: 0 })\n`

/** The page may load nothing but what is served here; Swagger UI draws its icons from data URLs. */
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"

type Document = readonly [path: string, document: object]

/** `/docs`, which shows the first of these documents, and the documents. */
export async function serveDocs(
  server: Server,
  documents: readonly [first: Document, ...others: Document[]],
): Promise<void> {
  const add = (path: string, type: string, content: string | Buffer): void =>
    server.route({ method: 'GET', path, handler: fileHandler({ type, content, policy: POLICY }) })
  for (const [path, document] of documents) add(path, 'application/json', JSON.stringify(document))
  add('/docs', 'text/html', PAGE)
  add('/docs/start.js', 'text/javascript', START(documents[0][0]))
  for (const [name, type] of Object.entries(FILES)) {
    const path = fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`))
    add(`/docs/${name}`, type, await readFile(path))
  }
}
