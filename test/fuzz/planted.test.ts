import { describe, expect, test } from "vitest"
import { PlanValue } from "../../src/cli/plan-value.ts"
import { Terminal } from "../../src/cli/terminal.ts"
import { Holdings } from "../../src/core/holdings.ts"
import { Loop } from "../../src/hub/loop.ts"
import { AcpConnection } from "../../src/runtime/acp-connection.ts"
import { codexPreset } from "../../src/runtime/presets/codex.ts"
import { McpEndpoint } from "../../src/surface/mcp-http.ts"
import { replaced } from "../simulation/planting.ts"
import { acpTarget } from "./acp-target.ts"
import { campaign, type Target } from "./campaign.ts"
import { hookTarget } from "./hook-target.ts"
import { mcpTarget } from "./mcp-target.ts"
import { nativeTarget } from "./native-target.ts"
import { policyTarget } from "./policy-target.ts"
import { shimTarget } from "./shim-target.ts"
import { terminalTarget } from "./terminal-target.ts"

/** Each fault MUST be found within so many cases. */
const CASES = 100

/** What a target finds first. */
async function find(target: Target): Promise<string> {
  const { found } = await campaign(target, { seed: 1, cases: CASES, untilMs: performance.now() + 40_000, reduceMs: 0 })
  return found?.message ?? `nothing in ${CASES} cases`
}

describe("a planted fault is found:", { timeout: 60_000 }, () => {
  test("a guard that sees no lease on files", async () => {
    const blind = await replaced(
      Holdings.prototype,
      "at",
      () => () => [],
      () => find(hookTarget),
    )
    expect(blind).toMatch(/an edit of what another holds was let through/)
  })

  test("a driver that prints what an agent asks leave for", async () => {
    const loud = await replaced(
      AcpConnection.prototype,
      "permit",
      (sound) =>
        function permit(this: AcpConnection, request) {
          console.error(request.toolCall.title)
          return sound.call(this, request)
        },
      () => find(acpTarget),
    )
    expect(loud).toMatch(/the person at the terminal is shown/)
  })

  test("an MCP endpoint that stumbles over notes in a request", async () => {
    const brittle = await replaced(
      McpEndpoint.prototype,
      "serve",
      (sound) =>
        function serve(this: McpEndpoint, request, response, caller, body, gone) {
          const { params } = (body ?? {}) as { params?: { _meta?: object } }
          if (params?._meta !== undefined) throw new TypeError("planted")
          return sound.call(this, request, response, caller, body, gone)
        },
      () => find(mcpTarget),
    )
    expect(brittle).toMatch(/status 500|internal error|planted/)
  })

  test("an inbox that is given the text in words of their own", async () => {
    const split = await replaced(
      codexPreset,
      "native",
      () => ({ way: "command" as const, argv: ["codex", "queue", "--thread", "{session}", "--message", "{prompt}"] as const }),
      () => find(nativeTarget),
    )
    expect(split).toMatch(/it was given \["queue"/)
  })

  test("a terminal that is given JSON as it is stored", async () => {
    const raw = await replaced(
      Terminal.prototype,
      "stored",
      () => (json) => process.stdout.write(`${json}\n`),
      () => find(terminalTarget),
    )
    expect(raw).toMatch(/a terminal would act on this/)
  })

  test("a hub that stumbles over the sessions of skein mcp", async () => {
    const broken = await replaced(
      Loop.prototype,
      "execute",
      (sound) =>
        function execute(this: Loop, name, actor, input, options) {
          if (name === "session.start" && (input as { runtime?: string }).runtime === "mcp") return Promise.reject(new TypeError("planted"))
          return sound.call(this, name, actor, input, options)
        },
      () => find(shimTarget),
    )
    expect(broken).toMatch(/internal error|planted/)
  })

  test("a reader of team files that throws at what is wrong in them", async () => {
    const brittle = await replaced(
      PlanValue.prototype,
      "fault",
      () => () => {
        throw new TypeError("planted")
      },
      () => find(policyTarget),
    )
    expect(brittle).toMatch(/internal error/)
  })
})
