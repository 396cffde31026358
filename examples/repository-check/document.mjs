/** A Markdown document as the link check sees it: where it links to, and which anchors it offers. */

// Every pattern here is bounded: a document may have been written to make the check hang.
const LONGEST_HEADING = 1000
const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"' }

/** Lines with fenced and inline code blanked, so that an example of a link is not taken for one. Line numbers stay. */
function proseLines(text) {
  let fence = ""
  return text.split(/\r?\n/).map((line) => {
    const mark = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1]
    if (fence !== "") {
      if (mark !== undefined && mark[0] === fence[0] && mark.length >= fence.length && line.trim() === mark) fence = ""
      return ""
    }
    if (mark !== undefined) fence = mark
    return fence !== "" ? "" : line
  })
}

const withoutCode = (line) => line.replace(/(?<!`)(`+)(?!`)(.{0,2000}?)(?<!`)\1(?!`)/g, (span) => " ".repeat(span.length))

/** GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens. */
export function slug(heading) {
  const words = heading
    .slice(0, LONGEST_HEADING)
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replace(/<[^>]*>/g, "")
    .replace(/&(\w+);/g, (whole, name) => ENTITIES[name] ?? whole)
  return words
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{M}\p{N}\p{Pc}\- ]/gu, "")
    .replace(/ /g, "-")
}

function readAnchors(lines) {
  const anchors = new Set(["top"])
  const seen = new Map()
  const add = (heading) => {
    const name = slug(heading)
    const times = seen.get(name) ?? 0
    seen.set(name, times + 1)
    anchors.add(times === 0 ? name : `${name}-${times}`)
  }
  lines.forEach((line, at) => {
    const heading = /^ {0,3}#{1,6}[ \t]+(.*)$/.exec(line)
    if (heading) add(heading[1].trimEnd().replace(/(^|[ \t])#+$/, ""))
    else if (/^ {0,3}(=+|-+)[ \t]*$/.test(line) && at > 0 && /^ {0,3}[^\s#>|-]/.test(lines[at - 1])) add(lines[at - 1].trim())
    for (const match of withoutCode(line).matchAll(/<[a-z][a-z0-9]{0,10}\s[^>]{0,500}?\b(?:id|name)\s*=\s*["']([^"']{1,200})["']/gi)) anchors.add(match[1])
  })
  return anchors
}

const INLINE =
  /\]\(\s{0,9}(?:<([^<>\n]{0,2000})>|((?:[^\s()\\]|\\.|\((?:[^\s()\\]|\\.){0,500}\)){1,2000}))(?:\s{1,9}(?:"[^"]{0,500}"|'[^']{0,500}'|\([^)]{0,500}\)))?\s{0,9}\)/g
const REFERENCE = /^ {0,3}\[(?!\^)[^\]\n]{1,300}\]:[ \t]{0,9}(?:<([^<>\n]{0,2000})>|(\S{1,2000}))/g
const HTML = /<(?:a|img|source)\s[^>]{0,500}?\b(?:href|src)\s{0,9}=\s{0,9}["']([^"'\s]{1,2000})["']/gi
const AUTOLINK = /<(https?:\/\/[^\s<>]{1,2000})>/gi
const BARE = /(?<![(<"'=\]:\w/])(https?:\/\/[^\s<>()"'\]]{1,2000})/gi

/** `{ links: [{ target, line }], anchors }` of a document. */
export function readDocument(text) {
  const lines = proseLines(text)
  const links = []
  lines.forEach((raw, at) => {
    const line = withoutCode(raw)
    for (const pattern of [INLINE, REFERENCE, HTML, AUTOLINK, BARE]) {
      for (const match of line.matchAll(pattern)) {
        const target = (match[1] ?? match[2] ?? "").replace(/\\([!-/:-@[-`{-~])/g, "$1")
        if (target !== "") links.push({ target, line: at + 1 })
      }
    }
  })
  return { links, anchors: readAnchors(lines) }
}
