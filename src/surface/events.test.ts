import { connect } from "node:net"
import { expect, test } from "vitest"
import { OPERATOR } from "./auth.ts"
import { startInstance } from "./served.contract.ts"

test("a stream that was ended because nobody reads it is written to no more, though its connection stays", async () => {
  const hub = await startInstance({ level: "warn", pingMs: 5, limits: { checkpointMs: 3_600_000, checkpointEntries: 1e9 } })
  const { hostname, port, host } = new URL(hub.url)
  const socket = connect(Number(port), hostname)
  try {
    socket.write(`GET /events HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${hub.operator}\r\n\r\n`)
    await expect.poll(() => hub.loop.stats()["subscribers"]).toBe(1)
    socket.pause()
    const director = { agent: OPERATOR, session: null, role: "operator" as const }
    const body = "x".repeat(32_000)
    for (let at = 0; hub.loop.stats()["subscribers"] === 1; at += 1) await hub.loop.execute("task.add", director, { id: `t${at}`, title: "T", body })
    // Some beats later: the first would end this process.
    await new Promise((resolve) => setTimeout(resolve, 50))
    let text = ""
    socket.on("data", (chunk) => (text = (text + chunk.toString("latin1")).slice(-100)))
    socket.resume()
    await expect.poll(() => text).toContain("event: resync")
  } finally {
    socket.destroy()
    await hub.close()
  }
})
