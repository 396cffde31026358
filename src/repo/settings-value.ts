import { isDeepStrictEqual } from "node:util"
import { isOurHook, type JsonValue } from "./agent-kinds.ts"

/** The same value, whatever the order of its keys. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, index) => sameValue(item, b[index]))
  if (!isRecord(a) || !isRecord(b)) return isDeepStrictEqual(a, b)
  const keys = Object.keys(a)
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]))
}

/** A plain object, not a date or another thing with a class. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

/** Whether a server's entry in an agent's settings starts `skein mcp --agent …`, however `skein` is called there. */
export function isOurServer(value: unknown): boolean {
  if (!isRecord(value)) return false
  const { command, args } = value
  const words = [command, args].flatMap((part) => (Array.isArray(part) ? (part as unknown[]) : [part])).filter((word) => typeof word === "string")
  const at = words.indexOf("mcp")
  return at > 0 && /(^|[\\/])skein(\.cjs)?$/.test(words[at - 1] as string) && words[at + 1] === "--agent"
}

/** Whether an element of a list is Skein's and nobody else's: a group of hooks in which another hook was put is its user's. */
export function isOurElement(element: unknown, wanted: JsonValue): boolean {
  if (sameValue(element, wanted)) return true
  if (!isRecord(element) || !Array.isArray(element["hooks"])) return false
  const hooks = element["hooks"] as unknown[]
  return hooks.length > 0 && hooks.every((hook) => isOurHook({ hooks: [hook] }))
}
