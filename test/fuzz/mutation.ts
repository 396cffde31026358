import type { Choices } from "./choices.ts"

/** Changes to valid input: bits, bytes, tokens, types, depth, lengths, text. Each takes its decisions from `Choices`, and 0 changes the least. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** Names that mean something to JavaScript, and so to careless code. */
const MAGIC = ["__proto__", "constructor", "prototype", "toString", "valueOf", "hasOwnProperty", "toJSON", "then", "length", "$ref"]
const TEXTS = [
  "",
  " ",
  "\u0000",
  "\n",
  "\r\n",
  "\ud800",
  "\udc00\ud800",
  "\u202eabc\u2066",
  "\ufeff",
  "\ufffd",
  "e\u0301",
  "\u{1f4a5}",
  "\u2028",
  "%00",
  "%",
  "%c0%ae",
  "../../etc/passwd",
  "..\\..",
  "/",
  "//",
  "-1",
  "0x10",
  "1e999",
  "NaN",
  "null",
  "true",
  "undefined",
  "[object Object]",
  "'\"`",
  "<script>",
  "${7*7}",
  "\u001b[2J\u001b]0;x\u0007",
  "s_0",
  "skc_a_b_c",
  ...MAGIC,
]
const NUMBERS = [
  0,
  -0,
  1,
  -1,
  0.5,
  1e-320,
  255,
  256,
  65_535,
  65_536,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32,
  2 ** 53 - 1,
  2 ** 53,
  2 ** 53 + 2,
  -(2 ** 53),
  2 ** 63,
  1e21,
  1e308,
  -1e308,
]
const LENGTHS = [1, 64, 65, 128, 129, 255, 300, 301, 1_000, 4_096, 4_097, 32_768, 32_769, 65_535, 65_536, 300_000]
const DEPTHS = [2, 15, 17, 100, 1_000, 20_000]

export function oddText(choices: Choices): string {
  if (!choices.chance(15)) return choices.pick(TEXTS)
  return choices.pick(["a", "\u00e9", "\u{1f4a5}", "\u0000", "\\", '"', "a/", "\ud800"]).repeat(choices.pick(LENGTHS))
}

export function oddValue(choices: Choices): Json {
  switch (choices.below(7)) {
    case 0:
      return null
    case 1:
      return choices.pick([true, false])
    case 2:
      return choices.pick(NUMBERS)
    case 3:
      return oddText(choices)
    case 4:
      return choices.pick<Json>([[], [null], [[]], [{}], Array.from({ length: 1_001 }, () => 1)])
    case 5:
      return keyed([[choices.pick(MAGIC), choices.pick<Json>([null, 1, "x", {}, { polluted: true }])]])
    default:
      return deep(choices.pick(DEPTHS), choices.chance(50))
  }
}

/** As `JSON.parse` makes them: `__proto__` is a key like any other. */
function keyed(pairs: readonly (readonly [string, Json])[]): { [key: string]: Json } {
  return Object.fromEntries(pairs)
}

function deep(levels: number, maps: boolean): Json {
  let value: Json = 1
  for (let level = 0; level < levels; level += 1) value = maps ? { a: value } : [value]
  return value
}

/** One change somewhere in a value; the value itself stays as it was. */
export function mutateValue(value: Json, choices: Choices): Json {
  if (Array.isArray(value) && value.length > 0 && choices.chance(70)) {
    const at = choices.below(value.length)
    const one = value[at] as Json
    switch (choices.below(6)) {
      case 0:
        return value.toSpliced(at, 1)
      case 1:
        return value.toSpliced(at, 0, one)
      case 2:
        return value.toReversed()
      default:
        return value.with(at, mutateValue(one, choices))
    }
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value) && choices.chance(75)) return mutateKeys(value, choices)
  if (typeof value === "string" && choices.chance(60)) return mutateText(value, choices)
  if (typeof value === "number" && choices.chance(60)) return choices.pick([-value, value + 1, value - 1, value * 2 ** 32, value / 3, ...NUMBERS])
  return oddValue(choices)
}

function mutateKeys(value: { [key: string]: Json }, choices: Choices): Json {
  const pairs = Object.entries(value)
  if (pairs.length === 0) return oddValue(choices)
  const at = choices.below(pairs.length)
  const [key, one] = pairs[at] as [string, Json]
  switch (choices.below(8)) {
    case 0:
      return keyed(pairs.toSpliced(at, 1))
    case 1:
      return keyed([...pairs, [choices.chance(50) ? choices.pick(MAGIC) : oddText(choices), oddValue(choices)]])
    case 2:
      return keyed(pairs.with(at, [choices.chance(50) ? choices.pick(MAGIC) : mutateText(key, choices), one]))
    default:
      return keyed(pairs.with(at, [key, mutateValue(one, choices)]))
  }
}

export function mutateText(text: string, choices: Choices): string {
  const at = choices.below(text.length + 1)
  switch (choices.below(7)) {
    case 0:
      return text.slice(0, at)
    case 1:
      return text.slice(0, at) + oddText(choices) + text.slice(at)
    case 2:
      return text.slice(0, at) + text.slice(at + 1 + choices.size(8))
    case 3:
      return text.slice(0, at) + String.fromCharCode(choices.below(0x1_0000)) + text.slice(at + 1)
    case 4:
      return text.slice(0, at) + text.slice(Math.max(0, at - choices.size(40)), at) + text.slice(at)
    case 5:
      return choices.pick([text.toUpperCase(), text.toLowerCase(), text.repeat(2), ` ${text}`, `${text} `, `${text}\n`, text.normalize("NFD")])
    default:
      return oddText(choices)
  }
}

/** Marks of JSON, YAML and HTTP, for where a change of tokens is wanted. */
const TOKENS = [
  "{",
  "}",
  "[",
  "]",
  ":",
  ",",
  '"',
  "'",
  "\\",
  "\\u0000",
  "\\ud800",
  "- ",
  "---\n",
  "...",
  "&a ",
  "*a",
  "!!binary ",
  "!",
  "|",
  ">-",
  "? ",
  "#",
  "\t",
  "<<: ",
  "~",
  "\r",
  "%",
  "@",
  "`",
  "1e999",
  "-0",
  "0123456789012345678901234567890",
  "null",
  "NaN",
  "Infinity",
  "/*",
  "\ufeff",
  "\u0085",
]

/** One to `most` changes of bytes: bits, stretches left out, doubled, moved, cut, filled; marks of the syntax put in; text that is no UTF-8. */
export function mutateBytes(bytes: Buffer, choices: Choices, most = 4): Buffer {
  let changed = bytes
  for (let left = choices.between(1, most); left > 0; left -= 1) changed = changeBytes(changed, choices)
  return changed
}

function changeBytes(bytes: Buffer, choices: Choices): Buffer {
  const at = choices.below(bytes.length + 1)
  const length = choices.size(Math.min(4_096, bytes.length))
  const put = (added: Buffer, over = 0): Buffer => Buffer.concat([bytes.subarray(0, at), added, bytes.subarray(at + over)])
  switch (choices.below(9)) {
    case 0: {
      const flipped = Buffer.from(bytes)
      if (at < flipped.length) flipped[at] = (flipped[at] as number) ^ (1 << choices.below(8))
      return flipped
    }
    case 1:
      return bytes.subarray(0, at)
    case 2:
      return put(Buffer.alloc(0), length)
    case 3:
      return put(bytes.subarray(at, at + length))
    case 4:
      return put(Buffer.from(choices.pick(TOKENS)), choices.below(2))
    case 5: {
      const from = choices.below(bytes.length + 1)
      return put(bytes.subarray(from, from + length))
    }
    case 6:
      return put(choices.bytes(choices.between(1, 8)), choices.below(9))
    case 7:
      return put(Buffer.alloc(length, choices.pick([0, 0xff, 0x20, 0x5b])), length)
    default:
      return put(Buffer.from(choices.pick(["[", "{", "- ", "[{", '{"a":', "&a [", "(", "\n  "]).repeat(choices.pick([2, 100, 3_000, 50_000]))))
  }
}

/** JSON with what `JSON.stringify` never writes: doubled keys, numbers beyond all range, escapes that stand alone, comments, a byte order mark. */
export function oddJson(value: Json, choices: Choices): Buffer {
  const text = writeJson(value)
  if (!choices.chance(35)) return Buffer.from(text)
  return mutateBytes(Buffer.from(text), choices, 3)
}

/** As `JSON.stringify`, but without its recursion: what is to be sent may be deeper than our own stack. */
export function writeJson(value: Json): string {
  const parts: string[] = []
  const todo: (Json | { raw: string })[] = [value]
  const raws = new Set<unknown>()
  const raw = (text: string): { raw: string } => {
    const mark = { raw: text }
    raws.add(mark)
    return mark
  }
  while (todo.length > 0) {
    const next = todo.pop() as Json | { raw: string }
    if (raws.has(next)) parts.push((next as { raw: string }).raw)
    else if (Array.isArray(next)) {
      parts.push("[")
      todo.push(raw("]"))
      for (let at = next.length - 1; at >= 0; at -= 1) todo.push(next[at] as Json, ...(at > 0 ? [raw(",")] : []))
    } else if (typeof next === "object" && next !== null) {
      parts.push("{")
      todo.push(raw("}"))
      const pairs = Object.entries(next)
      for (let at = pairs.length - 1; at >= 0; at -= 1) {
        const [key, inner] = pairs[at] as [string, Json]
        todo.push(inner, raw(`${at > 0 ? "," : ""}${JSON.stringify(key)}:`))
      }
    } else parts.push(JSON.stringify(next))
  }
  return parts.join("")
}
