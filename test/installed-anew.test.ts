import { spawn } from "node:child_process"
import { once } from "node:events"
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"

const PROJECT = join(import.meta.dirname, "..")

test("a hub under which Skein was installed anew says so where it would have had to load more, and goes on with all else", async () => {
  const folder = mkdtempSync(join(tmpdir(), "skein-anew-"))
  for (const part of ["bin", "dist", "package.json"]) cpSync(join(PROJECT, part), join(folder, part), { recursive: true })
  symlinkSync(join(PROJECT, "node_modules"), join(folder, "node_modules"))
  const args = [join(folder, "bin", "skein.cjs"), "up", "--foreground", "--json", "--global"]
  const hub = spawn(process.execPath, args, { env: { ...process.env, XDG_STATE_HOME: folder }, stdio: ["ignore", "pipe", "ignore"] })
  try {
    const [said] = (await once(hub.stdout, "data")) as [Buffer]
    const { url } = JSON.parse(String(said)) as { url: string }
    const credential = readFileSync(join(folder, "skein", "operator.credential"), "utf8").trim()
    const headers = { authorization: `Bearer ${credential}`, "content-type": "application/json", accept: "application/json, text/event-stream" }
    const post = (path: string, body: object): Promise<Response> => fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) })

    const cli = join(folder, "dist", "cli")
    for (const file of readdirSync(cli)) if (file.endsWith(".cjs")) rmSync(join(cli, file))
    const refused = await post("/mcp", { jsonrpc: "2.0", id: 1, method: "tools/list", params: {} })
    expect(await refused.json()).toMatchObject({
      error: { message: expect.stringMatching(/installed anew.*skein down/s) as string, data: { code: "internal" } },
    })
    const added = await post("/api/orpc/task/add", { id: "one", title: "One" })
    expect(await added.json()).toMatchObject({ task: "one" })
  } finally {
    hub.kill("SIGTERM")
    await once(hub, "exit")
    rmSync(folder, { recursive: true, force: true })
  }
  expect(hub.exitCode).toBe(0)
})
