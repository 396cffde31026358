import { readFileSync } from "node:fs"
import { connect, type Socket } from "node:net"
import { join } from "node:path"
import { afterAll, expect, test } from "vitest"
import { json, newRepository, skein, tidyUp, until } from "./cli-driver.ts"

/** A real hub whose connections somebody tries to use up, and its operator, who goes on. */

const storms: { end(): void }[] = []
afterAll(async () => {
  for (const storm of storms) storm.end()
  await tidyUp()
})

type Storm = { opened: number; texts: string[]; open: Set<Socket>; end(): void }

/** So many connections at once, each with something to say; a new one in the place of each that ends, where `again` says so. */
function storm(url: string, count: number, say: (at: number) => string, again: boolean): Storm {
  const { port, hostname } = new URL(url)
  const state: Storm = {
    opened: 0,
    texts: [],
    open: new Set(),
    end: () => {
      again = false
      for (const socket of state.open) socket.destroy()
    },
  }
  const one = (): void => {
    const at = state.opened++
    const socket = connect(Number(port), hostname)
    let text = ""
    state.open.add(socket)
    socket.on("error", () => undefined)
    socket.setEncoding("latin1").on("data", (bytes: string) => (text += bytes))
    socket.on("close", () => {
      state.open.delete(socket)
      if (text !== "") state.texts.push(text)
      // A breath: who takes all of the machine needs no connections to do harm.
      if (again) setTimeout(one, 20)
    })
    socket.write(say(at))
  }
  for (let at = 0; at < count; at += 1) one()
  storms.push(state)
  return state
}

test("strangers by the thousand, and an agent that wants all connections, leave the operator and other agents theirs", { timeout: 240_000 }, async () => {
  const folder = newRepository()
  await json(folder, ["up"])
  await json(folder, ["agent", "add", "ada"])
  await json(folder, ["agent", "add", "ben"])
  const { url } = JSON.parse(readFileSync(join(folder, ".skein", "hub.json"), "utf8")) as { url: string }
  const credential = (agent: string): string => join(folder, ".skein", "agents", `${agent}.credential`)
  const ada = readFileSync(credential("ada"), "utf8").trim()
  const { host } = new URL(url)
  const post = (path: string, bearer: string, body: string, bytes: number): string =>
    `POST ${path} HTTP/1.1\r\nHost: ${host}\r\n${bearer}Content-Type: application/json\r\nContent-Length: ${bytes}\r\n\r\n${body}`
  const statusIsTold = async (): Promise<void> => {
    const { status, stderr } = await skein(folder, ["status"])
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" })
  }
  const upgrade = `GET /ws HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`
  const sayings = ["", "POST /rpc", post("/token", "", "{", 2), upgrade]
  const strangers = storm(url, 2_500, (at) => sayings[at % sayings.length] as string, true)
  await until(() => (strangers.texts.some((text) => text.includes('"code":"overloaded"')) ? true : undefined), "strangers are told")
  await statusIsTold()
  await statusIsTold()
  // Waits, and bodies that never end, in any number of connections.
  const bearer = `Authorization: Bearer ${ada}\r\n`
  const wait = '{"waitMs":600000}'
  const asked = (at: number): string => (at % 2 === 0 ? post("/api/orpc/work/wait", bearer, wait, wait.length) : post("/api/orpc/ledger/head", bearer, "{", 2))
  const agent = storm(url, 600, asked, true)
  const refused = await until(async () => {
    const { status, stderr } = await skein(folder, ["status"], { SKEIN_TOKEN_FILE: credential("ada") })
    return status === 75 && stderr.includes("ada has 500 connections already") ? stderr : undefined
  }, "ada has its share, and is refused more")
  expect(refused).toContain("remedy: Close those that are not needed")
  await statusIsTold()
  expect((await skein(folder, ["status"], { SKEIN_TOKEN_FILE: credential("ben") })).status).toBe(0)
  strangers.end()
  agent.end()
  await until(async () => ((await skein(folder, ["status"], { SKEIN_TOKEN_FILE: credential("ada") })).status === 0 ? true : undefined), "ada has places again")
  await statusIsTold()
})
