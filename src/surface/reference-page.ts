import { createHash } from "node:crypto"
import * as z from "zod"
import { ERRORS } from "../contract/errors.ts"
import { KINDS, type OperationName } from "../contract/names.ts"
import { errorsOf, operations } from "../contract/operations.ts"

const STYLE = `
:root{color-scheme:light dark;--line:#8884;background:Canvas;color:CanvasText}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
code,pre{font:14px/1.4 ui-monospace,monospace}
pre{overflow:auto;padding:.75rem;border:1px solid var(--line);border-radius:6px}
nav ul{columns:3 12rem;padding-left:1rem}
section{border-top:1px solid var(--line);padding:.5rem 0}
table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2rem .8rem .2rem 0;overflow-wrap:anywhere}
.tag{border:1px solid var(--line);border-radius:4px;padding:0 .4rem;font-size:.85rem}
`

/** No script, nothing from elsewhere, one style that is known by its hash. */
export const REFERENCE_CSP = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(STYLE).digest("base64")}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`)
}

/** Text of the contract: escaped, its `code` marked. */
function prose(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>")
}

function schemaText(schema: z.ZodType, io: "input" | "output"): string {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" })
  return escapeHtml(JSON.stringify(rest, null, 2))
}

function sectionOf(name: OperationName): string {
  const { least, summary, text, input, output } = operations[name]
  const rows = [...errorsOf(name)].flatMap(([status, codes]) =>
    codes.map((code) => `<tr><td>${status}</td><td><code>${code}</code></td><td>${prose(ERRORS[code].meaning)}</td></tr>`),
  )
  const path = `/api/orpc/${name.replace(".", "/")}`
  return `<section id="${name}"><h2><code>${name}</code></h2>
<p><strong>${prose(summary)}</strong> <span class="tag">${KINDS[name]}</span> <span class="tag">role: ${least}</span></p>
<p>${prose(text)}</p><p><code>POST ${path}</code></p>
<details><summary>Input</summary><pre tabindex="0">${schemaText(input, "input")}</pre></details>
<details><summary>Output</summary><pre tabindex="0">${schemaText(output, "output")}</pre></details>
<details><summary>Errors</summary><table><tr><th>HTTP</th><th>code</th><th>meaning</th></tr>${rows.join("")}</table></details></section>`
}

/** The page at `/api`: every operation, readable without a script. `pause` lets others have their turns, after each of them. */
export async function referencePage(version: string, pause: () => Promise<unknown>): Promise<string> {
  const names = Object.keys(operations) as OperationName[]
  const sections: string[] = []
  for (const name of names) {
    sections.push(sectionOf(name))
    await pause()
  }
  const index = names.map((name) => `<li><a href="#${name}"><code>${name}</code></a></li>`).join("")
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><title>Skein: operations</title><style>${STYLE}</style></head>
<body><main><h1>Skein ${escapeHtml(version)}: operations</h1>
<p>Every operation is a POST of one JSON object with <code>Authorization: Bearer TOKEN</code>. Commands take an <code>Idempotency-Key</code> and are then safe to send again. The same as a document: <a href="/api/openapi.json">openapi.json</a>.</p>
<nav aria-label="Operations"><ul>${index}</ul></nav>
${sections.join("\n")}
</main></body></html>
`
}
