import type { AnyMessage, Stream } from "@agentclientprotocol/sdk"
import { shallow } from "../contract/schema.ts"

/** Of a request or an answer: the library goes down into it level by level, and sends back what it cannot use. */
const LEVELS_MAX = 64
const ID_MAX = 256
const UPDATE = "session/update"

/**
 * What an agent sends, less what the library would not survive or would print for a person to read: answers to nothing that was asked, notifications that are no
 * business of ours, nesting without end. Updates are read here, as far as they can be: an agent of a later version has fields that this one does not know.
 */
export function sifted({ readable, writable }: Stream, update: (params: unknown) => void): Stream {
  const asked = new Set<unknown>()
  const outgoing = new TransformStream<AnyMessage, AnyMessage>({
    transform(message, out) {
      if ("method" in message && "id" in message) asked.add(message.id)
      out.enqueue(message)
    },
  })
  const incoming = new TransformStream<AnyMessage, AnyMessage>({
    transform(message, out) {
      const one = message as { id?: unknown; method?: unknown; params?: unknown }
      if (one.method === UPDATE && !("id" in one)) return update(one.params)
      const kept = "method" in one ? sound(one) : asked.delete(one.id) ? answer(one) : null
      if (kept !== null) out.enqueue(kept as AnyMessage)
    },
  })
  outgoing.readable.pipeTo(writable).catch(() => undefined)
  return { readable: readable.pipeThrough(incoming), writable: outgoing.writable }
}

/** A request or notification; null: nobody can make anything of it, nor answer it. */
function sound(message: { id?: unknown; method?: unknown; params?: unknown }): object | null {
  const { id, method, params } = message
  const nameable = !("id" in message) || id === null || typeof id === "number" || (typeof id === "string" && id.length <= ID_MAX)
  if (!nameable || typeof method !== "string" || method.length > ID_MAX) return null
  if (!("id" in message) && method !== "$/cancel_request") return null
  if (shallow(message, LEVELS_MAX)) return message
  return shallow(params, LEVELS_MAX - 1) ? null : { jsonrpc: "2.0", method, ...("id" in message ? { id } : {}) }
}

function answer(message: { id?: unknown }): object {
  if (shallow(message, LEVELS_MAX)) return message
  return { jsonrpc: "2.0", id: message.id, error: { code: -32_600, message: `its answer nests more than ${LEVELS_MAX} levels deep` } }
}
