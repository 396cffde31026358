import { describe, expect, test } from "vitest"
import { AGENT_KINDS, agentKind, hookEntries, isOurHook, mcpEntry, settingsOf, type SettingsEdit } from "./agent-kinds.ts"

const plug = { agent: "claude", command: ["skein"] }

describe.each(AGENT_KINDS)("%s", (kind) => {
  test("everything is written inside the repository, and under Skein's own name", () => {
    for (const edit of settingsOf(kind, plug)) {
      expect(edit.file).not.toMatch(/^\/|\.\.|^~/)
      expect(JSON.stringify(edit)).toContain("skein")
    }
  })

  test("the MCP entry names the agent that it speaks for", () => {
    const text = JSON.stringify(mcpEntry(kind, { agent: "goose", command: ["/opt/skein x/skein"] }))
    expect(text).toContain(`"mcp","--agent","goose"`)
    expect(text).toContain("/opt/skein x/skein")
  })

  test("it can be asked for on the path, and reads its instructions somewhere", () => {
    const { binaries, instructionFile, npmPackage } = agentKind(kind)
    expect(binaries).toHaveLength(1)
    expect(instructionFile).toMatch(/^(CLAUDE|AGENTS|GEMINI)\.md$/)
    expect(npmPackage).toMatch(/^[@\w/-]+$/)
  })
})

function commands(edits: readonly SettingsEdit[]): string[] {
  return edits.flatMap((edit) => {
    if (edit.do !== "include") return []
    const { hooks = [] } = edit.value as unknown as { hooks?: { command: string }[] }
    return hooks.map(({ command }) => command)
  })
}

test("a hook says who calls and at which event, and its agent where that has another name than its kind", () => {
  expect(commands(hookEntries("claude", plug))).toContain("skein hook claude PreToolUse")
  expect(commands(hookEntries("gemini", { agent: "goose", command: ["skein"] }))).toContain("skein hook gemini BeforeTool --agent goose")
})

test("a command line with blanks and quotes reaches the shell whole", () => {
  const [first] = commands(hookEntries("codex", { agent: "codex", command: ["node", "/opt/it's here/skein.cjs"] }))
  expect(first).toBe("node '/opt/it'\\''s here/skein.cjs' hook codex SessionStart")
})

test("Skein's own hooks are known again, however it was called; those of others are not", () => {
  for (const command of [["skein"], ["node", "/opt/x y/skein.cjs"]]) {
    for (const kind of ["claude", "codex", "gemini"] as const) {
      for (const edit of hookEntries(kind, { agent: kind, command })) if (edit.do === "include") expect(isOurHook(edit.value)).toBe(true)
    }
  }
  for (const other of [{ hooks: [{ type: "command", command: "prettier --write" }] }, { matcher: "Edit" }, null, "skein hook claude Stop", { hooks: [null] }])
    expect(isOurHook(other)).toBe(false)
})

test("the plugin for opencode is a module that loads by itself and calls the same command", async () => {
  const [edit] = hookEntries("opencode", { agent: "goose", command: ["node", 'a "quoted" path'] })
  if (edit?.do !== "write") throw new Error("no file")
  expect(edit.text).toContain(JSON.stringify(["node", 'a "quoted" path', "hook", "opencode", "EVENT", "--agent", "goose"]))
  const loaded = (await import(`data:text/javascript,${encodeURIComponent(edit.text)}`)) as { Skein: unknown }
  expect(loaded.Skein).toBeTypeOf("function")
})

test("the plugin for opencode hands over what the agent was given, in which a wake is known by its nonce, and puts what it is told beside it", async () => {
  const echo = 'let text = ""; process.stdin.on("data", (piece) => (text += piece)).on("end", () => console.log(JSON.stringify({ context: text })))'
  const [edit] = hookEntries("opencode", { agent: "opencode", command: [process.execPath, "-e", echo] })
  if (edit?.do !== "write") throw new Error("no file")
  type Part = { type: string; text?: string }
  type Hooks = { "chat.message"(about: { sessionID: string }, given: { message: { id: string }; parts: Part[] }): Promise<void> }
  const { Skein } = (await import(`data:text/javascript,${encodeURIComponent(edit.text)}`)) as { Skein(given: object): Promise<Hooks> }
  const parts: Part[] = [{ type: "text", text: "wake up [skein:u1]" }, { type: "file" }, { type: "text", text: "second" }]
  await (await Skein({ client: {}, directory: process.cwd() }))["chat.message"]({ sessionID: "ses_1" }, { message: { id: "m1" }, parts })
  expect(parts).toHaveLength(4)
  expect(JSON.parse(parts[3]?.text ?? "")).toEqual({ sessionID: "ses_1", prompt: "wake up [skein:u1]\nsecond", cwd: process.cwd() })
})
