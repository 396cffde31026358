import { execFile } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer, request, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, test } from "vitest"
import { NOT_APPLICABLE } from "../scripts/mcp-reference.ts"
import { type Instance, startInstance } from "../src/surface/served.contract.ts"

/**
 * The public conformance suite against a real hub. It cannot send a bearer, so a proxy adds one; and it asks for tools, resources and prompts of its own
 * example server by name, so the proxy asks for ours of the same kind instead. Answers pass as they come.
 */

const SUITE = resolve("node_modules/@modelcontextprotocol/conformance/dist/index.js")

type Message = { method?: string; params?: Record<string, unknown> }

/** What the suite names, and what of ours stands for it. */
function renamed(message: Message): Message {
  const { method, params = {} } = message
  const to = (more: Record<string, unknown>): Message => ({ ...message, params: { ...params, ...more } })
  const given = (params["arguments"] ?? {}) as Record<string, unknown>
  switch (`${method} ${String(params["name"] ?? params["uri"])}`) {
    case "tools/call test_error_handling":
      return to({ name: "claim_task", arguments: { task: "nowhere" } })
    case "tools/call test_simple_text":
      return to({ name: "more_tools", arguments: {} })
    case "tools/call test_tool_with_progress":
      return to({ name: "wait_for_work", arguments: { waitMs: 10_500 } })
    case "resources/read test://static-text":
      return to({ uri: "skein://board" })
    case "resources/read test://template/123/data":
      return to({ uri: "skein://task/123" })
    case "prompts/get test_simple_prompt":
      return to({ name: "join_team" })
    case "prompts/get test_prompt_with_arguments":
      return to({ name: "hand_over", arguments: { task: given["arg1"], to: given["arg2"] } })
    default:
      return message
  }
}

let hub: Instance
let proxy: Server
let url: string

beforeAll(async () => {
  hub = await startInstance({ level: "silent" })
  const bearer = await hub.agent("ada")
  // One to be read, and none that could be claimed: a call that waits is to wait.
  await hub.loop.execute("task.add", { agent: "operator", session: null, role: "operator" }, { id: "123", title: "Read me", requires: { reading: 5 } })
  const target = new URL(hub.url)
  proxy = createServer((incoming, outgoing) => {
    const own = `127.0.0.1:${(proxy.address() as AddressInfo).port}`
    const ours = (value: string | undefined): string | undefined => value?.replace(own, target.host)
    const headers = {
      ...incoming.headers,
      authorization: `Bearer ${bearer}`,
      host: ours(incoming.headers.host),
      origin: ours(incoming.headers.origin),
      "content-length": undefined,
    }
    const known = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
    const passed = request({ host: target.hostname, port: target.port, path: incoming.url, method: incoming.method, headers: known }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    passed.on("error", () => outgoing.destroy())
    outgoing.on("close", () => passed.destroy())
    let body = ""
    incoming.setEncoding("utf8").on("data", (text: string) => (body += text))
    incoming.on("end", () => passed.end(body === "" ? undefined : JSON.stringify(renamed(JSON.parse(body) as Message))))
  })
  await new Promise<void>((settle) => proxy.listen(0, "127.0.0.1", settle))
  url = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/mcp`
})

afterAll(async () => {
  proxy.closeAllConnections()
  await new Promise((settle) => proxy.close(settle))
  await hub.close()
})

type Check = { id: string; status: "SUCCESS" | "FAILURE" | "WARNING" | "SKIPPED" | "INFO"; errorMessage?: string }

test("every scenario of the server suite passes that applies to what the hub offers", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-conformance-"))
  // Scenarios that do not apply fail, and its exit status with them: what each found is in the files.
  await promisify(execFile)(process.execPath, [SUITE, "server", "--url", url, "--suite", "all", "-o", folder], { timeout: 120_000 }).catch((error: unknown) => {
    if ((error as { code?: unknown }).code !== 1) throw error
  })
  const failed = new Map<string, string[]>()
  const seen: string[] = []
  for (const run of readdirSync(folder)) {
    const scenario = /^server-(.*?)-\d{4}-\d\d-\d\dT/.exec(run)?.[1] ?? run
    seen.push(scenario)
    const checks = JSON.parse(readFileSync(join(folder, run, "checks.json"), "utf8")) as Check[]
    const faults = checks.filter(({ status }) => status === "FAILURE" || status === "WARNING")
    if (faults.length > 0 || !checks.some(({ status }) => status === "SUCCESS"))
      failed.set(
        scenario,
        faults.map(({ id, errorMessage }) => `${id}: ${errorMessage ?? ""}`),
      )
  }
  rmSync(folder, { recursive: true, force: true })
  expect(seen.length).toBeGreaterThanOrEqual(30)
  console.log(`conformance: ${seen.length - failed.size} of ${seen.length} scenarios pass`)
  // Both ways: a scenario that begins to pass is taken off the list.
  expect(Object.fromEntries([...failed].filter(([scenario]) => !Object.hasOwn(NOT_APPLICABLE, scenario)))).toEqual({})
  expect(Object.keys(NOT_APPLICABLE).filter((scenario) => !failed.has(scenario))).toEqual([])
}, 150_000)
