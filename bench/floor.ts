import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from "node:fs"
import { Agent, request } from "node:http"
import { join } from "node:path"
import { WebSocket } from "ws"
import { Child } from "./child.ts"
import type { Address, Claim, Claimant, Driver, Engine } from "./engine.ts"
import { type Spread, spread } from "./figure.ts"
import { freePort } from "./scratch.ts"

/** The server that does nothing but the sync: what no hub on this machine can be faster than. */
export async function startFloor(directory: string): Promise<Engine> {
  const child = new Child("./floor-server.ts")
  const port = await freePort()
  await child.call("start", { directory, port })
  return { name: "floor", address: { url: `ws://127.0.0.1:${port}` }, pid: child.pid, stored: () => Promise.resolve(null), stop: () => child.stop() }
}

/** One message out, one in. */
class Line {
  readonly #socket: WebSocket
  #waiting: ((text: string) => void) | null = null

  private constructor(socket: WebSocket) {
    this.#socket = socket
    socket.on("message", (data: Buffer) => this.#waiting?.(data.toString()))
  }

  static open(url: string): Promise<Line> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false })
      socket.once("error", reject)
      socket.once("open", () => resolve(new Line(socket)))
    })
  }

  ask(text: string): Promise<string> {
    return new Promise((resolve) => {
      this.#waiting = resolve
      this.#socket.send(text)
    })
  }

  hear(call: (text: string) => void): void {
    this.#waiting = call
  }

  close(): void {
    this.#socket.terminate()
  }
}

export async function floorDriver({ url = "" }: Address): Promise<Driver> {
  const own = await Line.open(url)
  return {
    async fill(tasks) {
      const [first = ""] = tasks
      await own.ask(`fill ${first.replace(/\d+$/, "")} ${tasks.length}`)
    },
    async claimant({ announce }): Promise<Claimant> {
      const line = await Line.open(url)
      const ask = announce ? "announce" : "claim"
      return {
        async claim(): Promise<Claim | null> {
          const text = await line.ask(ask)
          if (text === "none") return null
          const space = text.indexOf(" ")
          return { task: text.slice(0, space), fence: Number(text.slice(space + 1)) }
        },
        close: () => Promise.resolve(line.close()),
      }
    },
    async listen(onClaim) {
      const line = await Line.open(url)
      await line.ask("listen")
      line.hear(onClaim)
      return () => line.close()
    },
    close: () => Promise.resolve(own.close()),
  }
}

export type Floors = { fdatasync: Spread; fdatasyncPreallocated: Spread; ws: Spread; http: Spread }

/** What disk and loopback cost by themselves. */
export async function measureFloors(directory: string, { address: { url = "" } }: Engine, count: number): Promise<Floors> {
  return {
    fdatasync: syncs(directory, count, 0),
    fdatasyncPreallocated: syncs(directory, count, count),
    ws: await echoes(url, count),
    http: await requests(url.replace("ws:", "http:"), count),
  }
}

function syncs(directory: string, count: number, preallocated: number): Spread {
  const path = join(directory, "fdatasync")
  const file = openSync(path, "w")
  const block = Buffer.alloc(4_096, 1)
  for (let at = 0; at < preallocated; at += 1) writeSync(file, block, 0, block.length, at * 4_096)
  fdatasyncSync(file)
  const latencies: number[] = []
  for (let at = 0; at < count; at += 1) {
    const startMs = performance.now()
    writeSync(file, block, 0, block.length, at * 4_096)
    fdatasyncSync(file)
    latencies.push(performance.now() - startMs)
  }
  closeSync(file)
  rmSync(path)
  return spread(latencies)
}

async function echoes(url: string, count: number): Promise<Spread> {
  const line = await Line.open(url)
  const latencies: number[] = []
  for (let at = 0; at < count; at += 1) {
    const startMs = performance.now()
    await line.ask("echo")
    latencies.push(performance.now() - startMs)
  }
  line.close()
  return spread(latencies)
}

async function requests(url: string, count: number): Promise<Spread> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const latencies: number[] = []
  for (let at = 0; at < count; at += 1) {
    const startMs = performance.now()
    await new Promise<void>((resolve, reject) => {
      const asked = request(url, { method: "POST", agent }, (response) => {
        response.resume()
        response.on("end", resolve)
      })
      asked.on("error", reject)
      asked.end('{"op":"task.claim"}')
    })
    latencies.push(performance.now() - startMs)
  }
  agent.destroy()
  return spread(latencies)
}
