import { type IncomingHttpHeaders, request as httpRequest } from "node:http"
import { connect as tcp } from "node:net"
import { WebSocket } from "ws"

/** Speaks to a hub as anybody on the network could, rules broken where a test asks for it. */

export type Answer = { status: number; headers: IncomingHttpHeaders; text: string; body: Record<string, unknown> }
type Asked = { method?: string; headers?: Record<string, string>; body?: string | Buffer }

export function ask(url: string, path: string, { method = "POST", headers = {}, body }: Asked = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      new URL(path, url),
      { method, headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers } },
      (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
        response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: bodyOf(text) }))
      },
    )
    request.on("error", reject)
    request.end(body)
  })
}

function bodyOf(text: string): Record<string, unknown> {
  try {
    return JSON.parse(text) as Record<string, unknown>
  } catch {
    return {}
  }
}

/** Bytes on a bare socket, and all that comes back. */
export function raw(url: string, bytes: string): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = tcp(Number(port), hostname)
    let text = ""
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    socket.on("error", reject)
    socket.on("close", () => {
      const at = text.indexOf("\r\n\r\n")
      resolve({ status: Number(text.slice(9, 12)), headers: {}, text, body: bodyOf(text.slice(at + 4)) })
    })
    socket.write(bytes)
  })
}

export type Talk = { frames: Record<string, unknown>[]; closed: number | null }

/** Sends frames over a WebSocket, one after the other, and gathers what comes back until it closes, or until `count` frames came. */
export function talk(
  url: string,
  frames: (string | Buffer)[],
  { count = Number.POSITIVE_INFINITY, headers = {} }: { count?: number; headers?: Record<string, string> } = {},
): Promise<Talk> {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(`${url.replace("http", "ws")}/ws`, { headers })
    const got: Record<string, unknown>[] = []
    const timer = setTimeout(() => ws.terminate(), 5_000)
    ws.on("open", () => {
      for (const frame of frames) ws.send(frame)
    })
    ws.on("message", (data: Buffer) => {
      const parsed = JSON.parse(data.toString("utf8")) as Record<string, unknown>
      got.push(...(Array.isArray(parsed) ? (parsed as Record<string, unknown>[]) : [parsed]))
      if (got.length >= count) ws.close()
    })
    ws.on("error", reject)
    ws.on("close", (code) => {
      clearTimeout(timer)
      resolve({ frames: got, closed: code === 1005 ? null : code })
    })
  })
}
