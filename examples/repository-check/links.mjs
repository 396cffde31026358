/** Links of the Markdown files that lead nowhere: to files that git does not track, or to headings that are not there. */
import { posix } from "node:path"
import { contents, isSymlink, trackedFiles } from "./checkout.mjs"
import { decline, deliver } from "./delivery.mjs"
import { code, list, plural } from "./markdown.mjs"
import { readDocument } from "./document.mjs"

const LARGEST_BYTES = 2 << 20

const files = trackedFiles()
const tracked = new Set(files.map((file) => file.path))
for (const path of tracked) for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) tracked.add(path.slice(0, at))
tracked.add("")

const documents = new Map()
const pages = files.filter((file) => file.kind === "blob" && !isSymlink(file) && /\.(md|markdown)$/i.test(file.path) && file.bytes <= LARGEST_BYTES)
for (const [file, bytes] of contents(pages)) documents.set(file.path, readDocument(bytes.toString()))

const decoded = (text) => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Why `target`, written in the file `from`, leads nowhere; nothing when it does lead somewhere. */
function fault(from, target) {
  const hash = target.indexOf("#")
  const path = decoded((hash < 0 ? target : target.slice(0, hash)).replace(/\?.*$/s, ""))
  const anchor = hash < 0 ? "" : decoded(target.slice(hash + 1))
  const joined = path === "" ? from : path.startsWith("/") ? posix.normalize(path.slice(1)) : posix.join(posix.dirname(from), path)
  const to = joined === "." ? "" : joined.replace(/\/$/, "")
  if (to === ".." || to.startsWith("../")) return "leaves the repository"
  if (!tracked.has(to)) return "no such file"
  const document = documents.get(to)
  if (anchor === "" || document === undefined) return undefined
  return document.anchors.has(anchor) || document.anchors.has(anchor.toLowerCase()) ? undefined : "no such heading"
}

if (documents.size === 0) {
  decline("links", "no Markdown files")
} else {
  const broken = []
  let inside = 0
  let outside = 0
  for (const [path, { links }] of documents) {
    for (const { target, line } of links) {
      if (/^([a-z][a-z0-9+.-]*:|\/\/)/i.test(target)) outside++
      else {
        inside++
        const why = fault(path, target)
        if (why !== undefined) broken.push(`${code(`${path}:${line}`)} to ${code(target)}: ${why}`)
      }
    }
  }
  deliver({
    check: "links",
    verdict: broken.length > 0 ? "findings" : "ok",
    findings: broken.length,
    summary: `${broken.length} of ${plural(inside, "link")} in ${plural(documents.size, "document")} lead nowhere; ${plural(outside, "external link")} not followed`,
    body: list(broken, 40),
  })
}
