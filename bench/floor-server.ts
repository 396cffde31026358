/**
 * The least that any durable hub must do: a WebSocket message in, 4 KiB appended and synced, an answer out. Messages that arrive together share
 * a sync. It decides nothing, keeps nothing and checks nothing.
 */
import { fdatasyncSync, openSync, writeSync } from "node:fs"
import { createServer } from "node:http"
import { join } from "node:path"
import { WebSocket, WebSocketServer } from "ws"
import { answer } from "./child.ts"

const BLOCK = Buffer.alloc(4_096, 1)
/** Where the write goes; the file grows as a log does. */
let file = -1
let open: string[] = []
let fence = 0
let batch: { socket: WebSocket; text: string }[] = []
const listeners = new Set<WebSocket>()

function flush(): void {
  const answers = batch.map(({ socket, text }) => ({ socket, text, task: text === "echo" ? "" : open.pop() }))
  batch = []
  if (answers.some(({ task }) => task !== "" && task !== undefined)) {
    writeSync(file, BLOCK)
    fdatasyncSync(file)
  }
  for (const { socket, text, task } of answers) {
    fence += 1
    socket.send(task === undefined ? "none" : `${task} ${fence}`)
    if (text === "announce" && task !== undefined) for (const listener of listeners) listener.send(task)
  }
}

answer({
  start: ({ directory, port }: { directory: string; port: number }) => {
    file = openSync(join(directory, "floor.log"), "a")
    const server = createServer((request, response) => {
      request.resume()
      request.on("end", () => response.end("ok"))
    })
    const sockets = new WebSocketServer({ server, perMessageDeflate: false })
    sockets.on("connection", (socket) => {
      socket.on("close", () => listeners.delete(socket))
      socket.on("message", (data: Buffer) => {
        const text = data.toString()
        if (text.startsWith("fill ")) {
          const [, prefix, count] = text.split(" ") as [string, string, string]
          open = Array.from({ length: Number(count) }, (_, at) => `${prefix}${at}`)
          socket.send("filled")
        } else if (text === "listen") {
          listeners.add(socket)
          socket.send("listening")
        } else {
          if (batch.length === 0) setImmediate(flush)
          batch.push({ socket, text })
        }
      })
    })
    return new Promise<void>((resolve) => {
      server.listen(port, "127.0.0.1", resolve)
    })
  },
})
