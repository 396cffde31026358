import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** A TCP proxy that a test can make deaf, cut or close: the network between a client and its hub. */
export type Proxy = {
  url: string
  /** What the hub answers from now on is lost. */
  loseAnswers: boolean
  /** Bytes that went from clients to the hub. */
  readonly sentBytes: number
  readonly connections: number
  cut(): void
  close(): Promise<void>
}

export async function startProxy(target: () => string): Promise<Proxy> {
  const pairs = new Set<Socket>()
  const state = { loseAnswers: false, sentBytes: 0, connections: 0 }
  const server = createServer((near) => {
    const { hostname, port } = new URL(target())
    const far = connect(Number(port), hostname)
    state.connections += 1
    pairs.add(near).add(far)
    // The hub checks the Host header, which names the proxy: each request's is put right.
    near.on("data", (bytes) => {
      state.sentBytes += bytes.length
      const text = bytes.toString("latin1")
      far.write(
        text.startsWith("GET ") || text.startsWith("POST ") ? Buffer.from(text.replace(/\r\nHost: [^\r]+/i, `\r\nHost: ${hostname}:${port}`), "latin1") : bytes,
      )
    })
    far.on("data", (bytes) => {
      if (!state.loseAnswers) near.write(bytes)
    })
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => other.destroy())
      one.on("close", () => {
        pairs.delete(one)
        other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const cut = (): void => {
    for (const socket of pairs) socket.destroy()
  }
  return {
    url: `http://127.0.0.1:${port}`,
    get loseAnswers() {
      return state.loseAnswers
    },
    set loseAnswers(lose) {
      state.loseAnswers = lose
    },
    get sentBytes() {
      return state.sentBytes
    },
    get connections() {
      return state.connections
    },
    cut,
    close: () => {
      cut()
      return new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
