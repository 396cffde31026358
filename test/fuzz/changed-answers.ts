import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { text } from "node:stream/consumers"
import type { Choices } from "./choices.ts"
import { type Json, mutateValue, writeJson } from "./mutation.ts"

/** A server before a hub: it hands calls on, and changes what is answered, as a hub of another version or a stranger in its place may. */
export class ChangedAnswers {
  readonly #server: Server
  #choices: Choices | null = null

  private constructor(hub: string) {
    this.#server = createServer((request, response) => {
      const handOn = async (): Promise<void> => {
        const { host: _host, connection: _connection, "content-length": _length, ...headers } = request.headers
        const asked = { method: request.method ?? "POST", headers: headers as Record<string, string>, body: await text(request) }
        const answer = await fetch(new URL(request.url ?? "/", hub), asked)
        const body = await answer.text()
        response.writeHead(answer.status, { "Content-Type": "application/json" }).end(this.#changed(body))
      }
      handOn().catch(() => response.destroy())
    })
  }

  static async open(hub: string): Promise<ChangedAnswers> {
    const opened = new ChangedAnswers(hub)
    await new Promise<void>((resolve) => opened.#server.listen(0, "127.0.0.1", resolve))
    return opened
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** From now on answers are changed as these choices say. */
  by(choices: Choices): void {
    this.#choices = choices
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  #changed(body: string): string {
    const choices = this.#choices
    if (choices === null) return body
    const answer = JSON.parse(body) as { json?: Json }
    for (let changes = choices.below(3); changes > 0; changes -= 1) answer.json = mutateValue(answer.json ?? null, choices)
    return writeJson(answer)
  }
}
