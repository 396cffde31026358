import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { copyFileSync, existsSync, linkSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import { httpClient } from "../src/client/http.ts"

/** What surrounds a hub that a service manager, a script or a terminal keeps. */

const SKEIN = join(import.meta.dirname, "..", "bin", "skein.cjs")

let folder: string
let hub: ChildProcess | null
beforeEach(() => {
  hub = null
  folder = mkdtempSync(join(tmpdir(), "skein-foreground-"))
})
afterEach(() => {
  hub?.kill("SIGKILL")
  rmSync(folder, { recursive: true, force: true })
})

const hubFile = (): string => join(folder, "skein", "hub.json")

function start(env: Readonly<Record<string, string>> = {}, program = process.execPath, flags: readonly string[] = []): ChildProcess {
  const { MALLOC_ARENA_MAX: _, MALLOC_TRIM_THRESHOLD_: __, NODE_OPTIONS: ___, ...own } = process.env
  const args = [...flags, SKEIN, "up", "--foreground", "--json", "--global"]
  return (hub = spawn(program, args, { env: { ...own, ...env, XDG_STATE_HOME: folder }, stdio: ["ignore", "pipe", "pipe"] }))
}

/** Resolves when the hub answers; it minds signals from then on. */
async function answering(): Promise<void> {
  await expect
    .poll(
      async () => {
        const { url } = JSON.parse(readFileSync(hubFile(), "utf8")) as { url: string }
        return (await fetch(`${url}/health`)).status
      },
      { timeout: 20_000 },
    )
    .toBe(200)
}

async function ended(child: ChildProcess): Promise<unknown[]> {
  return child.exitCode === null && child.signalCode === null ? once(child, "exit") : [child.exitCode, child.signalCode]
}

test("a hub goes on though nobody reads what it says", async () => {
  const child = start()
  child.stdout?.destroy()
  child.stderr?.destroy()
  await answering()
  await answering()
  child.kill("SIGTERM")
  expect(await ended(child)).toEqual([0, null])
  expect(existsSync(hubFile())).toBe(false)
})

test("a hub that is on no terminal outlives the end of one, as under nohup; right after it was asked to stop, SIGHUP hurries it no further", async () => {
  const child = start()
  await answering()
  child.kill("SIGHUP")
  await answering()
  child.kill("SIGTERM")
  child.kill("SIGHUP")
  expect(await ended(child)).toEqual([0, null])
  expect(existsSync(hubFile())).toBe(false)
})

test.runIf(process.platform === "linux")("a hub whose descriptors are used up by connections goes on, and answers once there are some again", async () => {
  const child = start({}, "/bin/sh", ["-c", 'ulimit -n 64; exec "$0" "$@"', process.execPath])
  await answering()
  const { port } = new URL((JSON.parse(readFileSync(hubFile(), "utf8")) as { url: string }).url)
  const held = Array.from({ length: 200 }, () => connect(Number(port), "127.0.0.1").on("error", () => {}))
  // Longer than what the hub does each second takes to come round.
  await new Promise((settle) => setTimeout(settle, 2_500))
  for (const connection of held) connection.destroy()
  await answering()
  child.kill("SIGTERM")
  expect(await ended(child)).toEqual([0, null])
})

test.runIf(process.platform === "linux")("what NODE_OPTIONS says of the space for young objects holds for the hub", async () => {
  const child = start({ NODE_OPTIONS: "--max-semi-space-size=32" })
  await answering()
  expect(readFileSync(`/proc/${child.pid}/environ`, "utf8")).toContain("MALLOC_ARENA_MAX=1")
  expect(readFileSync(`/proc/${child.pid}/cmdline`, "utf8")).not.toContain("semi-space")
})

test.runIf(process.platform === "linux")("where Node's own file was replaced since it began, the hub begins all the same", async () => {
  const [program, gone] = [join(folder, "node"), join(folder, "gone.cjs")]
  const own = realpathSync(process.execPath)
  try {
    linkSync(own, program)
  } catch {
    // On another disk.
    copyFileSync(own, program)
  }
  writeFileSync(gone, 'require("node:fs").rmSync(process.execPath)')
  const child = start({}, program, ["-r", gone])
  await answering()
  child.kill("SIGTERM")
  expect(await ended(child)).toEqual([0, null])
})

test.runIf(process.platform === "linux")(
  "a hub that may make no file longer refuses writes, reads on and answers, though its log has no room either",
  async () => {
    const [logs, limit] = [join(folder, "skein", "logs"), 6 * 1024 * 1024]
    mkdirSync(logs, { recursive: true, mode: 0o700 })
    writeFileSync(join(logs, "hub.log"), "")
    truncateSync(join(logs, "hub.log"), limit)
    const child = start({}, "/bin/sh", ["-c", `ulimit -f ${limit / 512}; exec "$0" "$@"`, process.execPath])
    await answering()
    const { url } = JSON.parse(readFileSync(hubFile(), "utf8")) as { url: string }
    // Over HTTP what is refused is asked again a few times, and not for the half minute that a connection has.
    const client = httpClient({ url, credentialFile: join(folder, "skein", "operator.credential") })
    let added = 0
    const fill = async (): Promise<void> => {
      for (; added < 1_000; added += 1) await client.call("task.add", { id: `t${added}`, title: "t", body: "x".repeat(30_000) })
    }
    await expect(fill()).rejects.toMatchObject({ code: "storage_refused", remedy: expect.stringContaining("ulimit -f") as string })
    expect((await client.call("task.show", { task: `t${added - 1}` })).task.title).toBe("t")
    client.close()
    await answering()
    child.kill("SIGTERM")
    expect(await ended(child)).toEqual([0, null])
  },
)

test("a hub that ends without a word, such as for want of room to say one, is told of by how it ended", async () => {
  const ending = join(folder, "ending.cjs")
  writeFileSync(ending, 'if (process.argv.includes("--foreground")) process.kill(process.pid, "SIGKILL")')
  const child = spawn(process.execPath, [SKEIN, "up", "--global"], {
    env: { ...process.env, NODE_OPTIONS: `--require ${ending}`, XDG_STATE_HOME: folder },
    stdio: ["ignore", "ignore", "pipe"],
  })
  let said = ""
  child.stderr.setEncoding("utf8").on("data", (text: string) => (said += text))
  await once(child, "close")
  expect(said).toMatch(/^skein: the hub did not start: it ended by SIGKILL, and said nothing\nremedy: See that the disk has room, /m)
})

test("a hub's log begins anew while it runs, with what it was beside it", async () => {
  const logs = join(folder, "skein", "logs")
  mkdirSync(logs, { recursive: true, mode: 0o700 })
  // It is over 16 MiB by what this hub tells.
  writeFileSync(join(logs, "hub.log"), `${"x".repeat(16 * 1024 * 1024 - 1)}\n`, { mode: 0o600 })
  const child = start({ SKEIN_LOG_LEVEL: "debug" })
  await answering()
  const { url } = JSON.parse(readFileSync(hubFile(), "utf8")) as { url: string }
  for (let at = 0; at < 3; at += 1) await fetch(`${url}/nothing-${at}`)
  const [before, now] = [readFileSync(join(logs, "hub.log.1"), "utf8"), readFileSync(join(logs, "hub.log"), "utf8")]
  expect(before.slice(16 * 1024 * 1024)).toContain('"msg":"workspace open"')
  expect(
    now
      .split("\n")
      .slice(0, -1)
      .map((line) => (JSON.parse(line) as { pid: number }).pid),
  ).not.toContain(undefined)
  expect(now).toContain("nothing-2")
  expect(statSync(join(logs, "hub.log")).mode & 0o777).toBe(0o600)
  child.kill("SIGTERM")
  expect(await ended(child)).toEqual([0, null])
  expect(readFileSync(join(logs, "hub.log"), "utf8")).toContain('"msg":"down"')
})
