import { createHash } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { readdir, readFile } from "node:fs/promises"
import { extname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { SkeinError } from "../contract/errors.ts"
import { SECURE_HEADERS } from "./request.ts"

/** What the page may do: load what the hub serves, speak with the hub, and nothing else. */
const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; worker-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
}
const ENCODINGS: readonly { name: string; ending: string }[] = [
  { name: "br", ending: ".br" },
  { name: "gzip", ending: ".gz" },
]

type PageFile = { type: string; etag: string; bytes: Buffer; encoded: { name: string; bytes: Buffer }[] }

/** The page as the build left it, read once and whole: a package that is replaced under a running hub does not mix two builds. */
export class PageFiles {
  readonly #directory: string
  #files: Promise<Map<string, PageFile>> | null = null

  /** `directory`: what `npm run build` made; by default that of this package. */
  constructor(directory: string = builtPage()) {
    this.#directory = directory
  }

  /** The page itself, whichever of its addresses was asked for. */
  index(request: IncomingMessage, response: ServerResponse): Promise<void> {
    return this.#send(request, response, "index.html")
  }

  /** A file below `/assets/`. Its name holds a hash of what is in it, so that it may be kept for ever. */
  asset(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    return this.#send(request, response, `assets/${name}`)
  }

  async #send(request: IncomingMessage, response: ServerResponse, name: string): Promise<void> {
    this.#files ??= readPage(this.#directory)
    const file = (await this.#files).get(name)
    if (file === undefined) throw new SkeinError("unknown_operation", `the page has no file ${JSON.stringify(name.slice(0, 100))}`, "Load the page again: /")
    const isIndex = name === "index.html"
    const headers: Record<string, string> = {
      ...SECURE_HEADERS,
      "Content-Type": file.type,
      "Cache-Control": isIndex ? "no-cache" : "public, max-age=31536000, immutable",
      "Cross-Origin-Opener-Policy": "same-origin",
      "Cross-Origin-Resource-Policy": "same-origin",
      ETag: file.etag,
      Vary: "Accept-Encoding",
    }
    // On every file: a worker has the policy that its own file came with.
    headers["Content-Security-Policy"] = PAGE_CSP
    if (request.headers["if-none-match"] === file.etag) {
      response.writeHead(304, headers)
      response.end()
      return
    }
    const accepted = acceptedBy(request)
    const encoded = file.encoded.find(({ name }) => accepted.has(name))
    if (encoded !== undefined) headers["Content-Encoding"] = encoded.name
    const { bytes } = encoded ?? file
    response.writeHead(200, { ...headers, "Content-Length": String(bytes.length) })
    response.end(request.method === "HEAD" ? undefined : bytes)
  }
}

function acceptedBy({ headers }: IncomingMessage): ReadonlySet<string> {
  const accepted = new Set<string>()
  for (const part of (headers["accept-encoding"]?.toString() ?? "").split(",")) {
    const [name = "", quality = ""] = part.split(";")
    if (!/q=0(\.0+)?$/.test(quality.trim())) accepted.add(name.trim().toLowerCase())
  }
  return accepted
}

async function readPage(directory: string): Promise<Map<string, PageFile>> {
  const files = new Map<string, PageFile>()
  const found = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => [])
  const paths = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  const known = new Set(paths)
  for (const path of paths) {
    const type = TYPES[extname(path)]
    if (type === undefined) continue
    const bytes = await readFile(path)
    const encoded = []
    for (const { name, ending } of ENCODINGS) if (known.has(path + ending)) encoded.push({ name, bytes: await readFile(path + ending) })
    const etag = `"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`
    files.set(path.slice(directory.length + 1).replaceAll("\\", "/"), { type, etag, bytes, encoded })
  }
  if (!files.has("index.html"))
    throw new SkeinError("internal", "the page is not built", "In a checkout: npm run build. In an installed package: install it again.")
  return files
}

/** Beside this module in the package; run from its source, where the build puts it. */
function builtPage(): string {
  return fileURLToPath(new URL(import.meta.url.endsWith(".ts") ? "../../dist/dashboard" : "../dashboard", import.meta.url))
}
