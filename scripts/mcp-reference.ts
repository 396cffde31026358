/** Writes docs/reference/mcp.md from the contract and the list of conformance scenarios. Tests say when it is stale. */
import { writeFileSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { RESOURCES } from "../src/contract/tools.ts"
import { PROMPTS } from "../src/surface/mcp-prompts.ts"
import { coreTools, type JsonSchema, toolRows } from "../src/surface/mcp-tools.ts"

const ELICITATION = "elicitation: a tool never asks the person back; what is missing is said in an error's remedy"
const SUBSCRIPTION = "subscriptions: no update wakes a client by itself; an agent waits with `wait_for_work`"
const RESUMING =
  "sessions and resumable streams of the transport: each request stands alone, identity is the bearer's, and what was missed is read again from the hub"
const MEDIA = "images, audio and embedded files in answers: the hub answers text and JSON alone"
const LOGGING = "logging to the client: deprecated since revision 2026-07-28; the hub has its log"

/** Scenarios of the public server suite for which the hub has no capability, each with the reason. */
export const NOT_APPLICABLE: Readonly<Record<string, string>> = {
  "elicitation-sep1034-defaults": ELICITATION,
  "elicitation-sep1330-enums": ELICITATION,
  "json-schema-2020-12": "asks for a tool of the suite's own example server with a schema made for it",
  "logging-set-level": LOGGING,
  "prompts-get-embedded-resource": MEDIA,
  "prompts-get-with-image": MEDIA,
  "resources-read-binary": MEDIA,
  "resources-subscribe": SUBSCRIPTION,
  "resources-unsubscribe": SUBSCRIPTION,
  "server-sse-multiple-streams": RESUMING,
  "server-sse-polling": RESUMING,
  "tools-call-audio": MEDIA,
  "tools-call-elicitation": ELICITATION,
  "tools-call-embedded-resource": MEDIA,
  "tools-call-image": MEDIA,
  "tools-call-mixed-content": MEDIA,
  "tools-call-sampling": "sampling: the hub needs no model, and asks no client for one",
  "tools-call-with-logging": LOGGING,
}

const PATH = "docs/reference/mcp.md"

export function mcpPage(): string {
  const core = coreTools()
  const rows = [...toolRows().values()]
  const bytes = Buffer.byteLength(JSON.stringify({ tools: core }))
  const more = rows.filter((row) => !row.core)
  return [
    "# MCP\n",
    "Made from the contract by `node scripts/mcp-reference.ts`.\n",
    "The hub serves MCP over streamable HTTP at `/mcp`, in the revisions 2025-06-18, 2025-11-25 and 2026-07-28; `skein mcp` serves the same over stdio.",
    "How to connect a client: [connect an MCP client](../how-to/connect-an-mcp-client.md).\n",
    "Who calls is said by the bearer alone (a token, or over loopback a credential), never by `Mcp-Session-Id` or a payload.",
    "Every answer begins with the next step, as text and as `nextStep` in `structuredContent`, which holds the same answer.",
    'What others wrote stands between `<data from="NAME">` and `</data>`, in both. An error is a result with `isError`, `code`, `message` and `remedy`: [errors](errors.md).\n',
    `## Core tools\n\nListed by \`tools/list\`, marked to be loaded always: ${core.length} tools, ${bytes} bytes of JSON.\n`,
    ...core.map(({ name, description = "", inputSchema }) => `### ${name}\n\n${description}\n\n${fields(inputSchema as JsonSchema)}`),
    "## All other tools\n\nReached by `more_tools`. A caller sees those that its role may call.\n",
    table(
      ["tool", "operation", "role", "what it does"],
      more.map(({ tool, operations, least, text }) => [
        `\`${tool}\``,
        operations.map((name) => `[${name}](operations.md#${name.toLowerCase().replace(".", "")})`).join(", "),
        least,
        /^.*?[.:](?= |$)/.exec(text)?.[0] ?? text,
      ]),
    ),
    "\n## Resources\n",
    table(
      ["address", "what it is", "operation"],
      RESOURCES.map(({ address, title, operation }) => [`\`${address}\``, title, operation]),
    ),
    "\n## Prompts\n",
    table(
      ["prompt", "what it does", "arguments"],
      PROMPTS.map(({ name, description, arguments: taken }) => [`\`${name}\``, description, taken.map((argument) => `\`${argument.name}\``).join(", ")]),
    ),
    "\n## Conformance\n",
    "`test/mcp-conformance.test.ts` runs the public server suite (`@modelcontextprotocol/conformance`) against a hub. The suite names tools, resources and prompts of its own example server;",
    "the test asks for ours of the same kind instead. Every scenario passes but these, for which the hub has no capability:\n",
    table(
      ["scenario", "why it does not apply"],
      Object.entries(NOT_APPLICABLE).map(([scenario, why]) => [`\`${scenario}\``, why]),
    ),
  ].join("\n")
}

function fields({ properties = {}, required = [] }: JsonSchema): string {
  const rows = Object.entries(properties).map(([name, schema]) => [`\`${name}\``, typeOf(schema), required.includes(name) ? "needed" : ""])
  return rows.length === 0 ? "" : table(["argument", "type", ""], rows)
}

function typeOf({ type, properties, items, anyOf, enum: words, minimum, maximum }: JsonSchema): string {
  if (Array.isArray(words)) return words.map((word) => `\`${String(word)}\``).join(" ")
  if (anyOf !== undefined) return anyOf.map(typeOf).join(" or ")
  if (items !== undefined) return `list of ${typeOf(items)}`
  if (properties !== undefined) return `\`{${Object.keys(properties).join(", ")}}\``
  const range = typeof minimum === "number" && typeof maximum === "number" ? ` ${minimum} to ${maximum}` : ""
  return `${String(type ?? "any value")}${range}`
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |\n`
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("")
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) writeFileSync(PATH, mcpPage())
