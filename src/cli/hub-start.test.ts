import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, expect, test } from "vitest"
import { WriterLock } from "../ledger/writer-lock.ts"
import { ensureHub } from "./hub-start.ts"
import type { Instance } from "./instance.ts"

const closing: (() => unknown)[] = []
afterEach(() => {
  for (const close of closing.splice(0)) close()
})

const LISTENING = { host: "127.0.0.1", port: null, allowedHosts: [] }

function newInstance(): Instance {
  const repository = mkdtempSync(join(tmpdir(), "skein-start-"))
  closing.push(() => rmSync(repository, { recursive: true }))
  spawnSync("git", ["init", "-q", repository])
  const directory = join(repository, ".skein")
  mkdirSync(join(directory, "keys"), { recursive: true, mode: 0o700 })
  mkdirSync(join(directory, "ledger"), { mode: 0o700 })
  return { directory, repository }
}

/** Somebody who answers as a hub does. */
async function answering(): Promise<string> {
  const other = createServer((_, response) => response.end("{}")).listen(0, "127.0.0.1")
  closing.push(() => other.close())
  await new Promise((settle) => other.once("listening", settle))
  return `http://127.0.0.1:${(other.address() as AddressInfo).port}`
}

test.each([
  ["is dead", (): number => spawnSync("true").pid],
  ["is another program's", (): number => process.pid],
])("a hub that does not start is not taken for up because somebody listens where the last one did, whose process id %s", async (_, pid) => {
  const instance = newInstance()
  writeFileSync(join(instance.directory, "keys", "token.pem"), "no key")
  // Nobody answers when it is looked for; then somebody does.
  const file = { pid: pid(), url: "http://127.0.0.1:1", startedAtMs: 1, version: "0" }
  writeFileSync(join(instance.directory, "hub.json"), JSON.stringify(file))
  const started = ensureHub(instance, LISTENING)
  const refused = expect(started).rejects.toMatchObject({
    code: "hub_unreachable",
    message: expect.stringMatching(/^the hub did not start: .*token.pem holds no Ed25519 key/) as string,
  })
  writeFileSync(join(instance.directory, "hub.json"), JSON.stringify({ ...file, url: await answering() }))
  await refused
})

test("a start that finds the ledger in use waits for the hub that has it, which may still be folding", async () => {
  const instance = newInstance()
  const lock = WriterLock.take(join(instance.directory, "ledger", "main.sqlite"), { pid: process.pid, address: null })
  closing.push(() => lock.release())
  const started = ensureHub(instance, LISTENING)
  const log = join(instance.directory, "logs", "start.log")
  const saidLocked = (): boolean => {
    try {
      return readFileSync(log, "utf8").includes("is in use by process")
    } catch {
      return false
    }
  }
  while (!saidLocked()) await new Promise((settle) => setTimeout(settle, 20))
  const hub = { pid: process.pid, url: await answering(), startedAtMs: 2, version: "0" }
  writeFileSync(join(instance.directory, "hub.json"), JSON.stringify(hub))
  expect(await started).toEqual({ hub, already: false })
})

test("a start whose word was lost, since another began the log anew, waits for the hub that was faster all the same", async () => {
  const instance = newInstance()
  const lock = WriterLock.take(join(instance.directory, "ledger", "main.sqlite"), { pid: process.pid, address: null })
  closing.push(() => lock.release())
  mkdirSync(join(instance.directory, "logs"))
  // What is written here is gone at once.
  symlinkSync("/dev/null", join(instance.directory, "logs", "start.log"))
  let settled = false
  const started = ensureHub(instance, LISTENING).finally(() => (settled = true))
  // Longer than it takes to find the ledger in use.
  await Promise.race([started.catch(() => {}), new Promise((settle) => setTimeout(settle, 3_000))])
  expect(settled).toBe(false)
  const hub = { pid: process.pid, url: await answering(), startedAtMs: 2, version: "0" }
  writeFileSync(join(instance.directory, "hub.json"), JSON.stringify(hub))
  expect(await started).toEqual({ hub, already: false })
})

test("a hub that listens and has lost its hub.json is named at once, with what ends it", async () => {
  const instance = newInstance()
  const url = await answering()
  const lock = WriterLock.take(join(instance.directory, "ledger", "main.sqlite"), { pid: process.pid, address: url })
  closing.push(() => lock.release())
  await expect(ensureHub(instance, LISTENING)).rejects.toMatchObject({
    message: expect.stringContaining(`is in use by process ${process.pid} at ${url}`) as string,
    remedy: expect.stringContaining(`kill ${process.pid}`) as string,
  })
})
