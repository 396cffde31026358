import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { deliverNatively, type NativeTarget } from "./native-inbox.ts"
import { presetNamed } from "./presets/presets.ts"

const folders: string[] = []
const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

function target(kind: string, given: Partial<NativeTarget> = {}): NativeTarget {
  const folder = mkdtempSync(join(tmpdir(), "skein-inbox-"))
  folders.push(folder)
  const preset = presetNamed(kind)
  if (preset === null) throw new Error(`no preset ${kind}`)
  return { agent: "ada", preset, session: "11111111-2222-4333-8444-555555555555", cwd: folder, env: {}, marks: folder, ...given }
}

function program(folder: string, body: string): string {
  const path = join(folder, "codex")
  writeFileSync(path, `#!/bin/sh\n${body}\n`)
  chmodSync(path, 0o755)
  return path
}

const text = 'wake up; $(touch run) "quoted" --thread x'

test("a text reaches a command as one argument, whatever it holds", async () => {
  const one = target("codex")
  const binary = program(one.cwd, 'printf "%s\\n" "$@" > given')
  expect(await deliverNatively({ ...one, binary }, { text: `${text}\u001b[201~`, form: "nudge" })).toMatchObject({ ok: true, channel: "native", handed: true })
  expect(readFileSync(join(one.cwd, "given"), "utf8").split("\n").slice(0, -1)).toEqual(["queue", "--thread", one.session, `--message=${text}[201~`])
})

test("a command that knows no such conversation, or is not there, leads to the next way; one that fails otherwise is tried again", async () => {
  const one = target("codex")
  const unknown = program(one.cwd, "echo 'Error: thread not found' >&2; exit 1")
  expect(await deliverNatively({ ...one, binary: unknown }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
  const failing = program(one.cwd, "echo 'database is locked' >&2; exit 1")
  expect(await deliverNatively({ ...one, binary: failing }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "SEND_KEYS_ERROR" })
  expect(await deliverNatively({ ...one, binary: "no-such-agent" }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
  expect(await deliverNatively({ ...one, session: null }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
})

test("what a command complains of is told on one line of whole characters that turn no text around", async () => {
  const one = target("codex")
  const loud = program(one.cwd, String.raw`printf '\360\237\222\245%s\033[31m\342\200\256%s\n' x ${"y".repeat(292)} >&2; exit 1`)
  const { detail } = await deliverNatively({ ...one, binary: loud }, { text, form: "nudge" })
  expect(detail).toBe(`codex ended with 1:  x [31m ${"y".repeat(292)}`)
})

test("opencode's own server gets the text, with the password of its user", async () => {
  const asked: { url: string | undefined; authorization: string | undefined; body: unknown }[] = []
  const server = createServer((request, response) => {
    let body = ""
    request.on("data", (chunk: Buffer) => (body += chunk.toString()))
    request.on("end", () => {
      asked.push({ url: request.url, authorization: request.headers.authorization, body: JSON.parse(body) })
      response.writeHead(request.url?.includes("ses_1") === true ? 204 : 404).end()
    })
  })
  servers.push(server)
  await new Promise<void>((settle) => server.listen(0, "127.0.0.1", settle))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const one = target("opencode", { url, password: "pass", session: "ses_1" })
  expect(await deliverNatively(one, { text, form: "nudge" })).toMatchObject({ ok: true, channel: "native", handed: true })
  expect(asked).toEqual([
    {
      url: "/session/ses_1/prompt_async",
      authorization: `Basic ${Buffer.from("opencode:pass").toString("base64")}`,
      body: { parts: [{ type: "text", text }] },
    },
  ])
  expect(await deliverNatively({ ...one, session: "../other" }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
  expect(asked[1]?.url).toBe("/session/..%2Fother/prompt_async")
  expect(await deliverNatively({ ...one, url: "http://127.0.0.1:1" }, { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
})

test("an agent without an inbox of its own leads to the next way", async () => {
  expect(await deliverNatively(target("gemini"), { text, form: "nudge" })).toMatchObject({ ok: false, code: "TARGET_NOT_FOUND" })
})
