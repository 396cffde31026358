/** Texts that JSON quotes as they stand. Looking at a longer one takes as long as quoting it. */
const PLAIN = /^[A-Za-z0-9 ._:/-]*$/
const PLAIN_MAX_CHARS = 256

/** What `JSON.stringify` says of a text or of nothing: for what is written out on the hot path. */
export function textJson(text: string | null): string {
  if (text === null) return "null"
  return text.length <= PLAIN_MAX_CHARS && PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}

/** What `JSON.stringify` says of a list, most of which are empty. */
export function listJson(list: readonly unknown[]): string {
  return list.length === 0 ? "[]" : JSON.stringify(list)
}

/** What `JSON.stringify` says of a plain record or of nothing, in a third of its instructions where the record is small: it looks at every field's name and character. */
export function recordJson(record: object | null): string {
  if (record === null) return "null"
  let text = "{"
  for (const name in record) {
    const value = (record as Record<string, unknown>)[name]
    if (value === undefined) continue
    text += text === "{" ? nameJson(name) : `,${nameJson(name)}`
    text += valueJson(value)
  }
  return `${text}}`
}

function valueJson(value: unknown): string {
  if (typeof value === "string" || value === null) return textJson(value)
  if (typeof value === "boolean") return value ? "true" : "false"
  if (typeof value === "number") return Number.isFinite(value) ? `${value}` : "null"
  return Array.isArray(value) ? listJson(value) : recordJson(value as object)
}

/** Names of fields as JSON has them. Those of our own types are a few hundred, and short; a caller's, such as those of an event's payload, may be any number and any length. */
const names = new Map<string, string>()
const NAMES_MAX = 1_000
const NAME_MAX_CHARS = 32

function nameJson(name: string): string {
  let text = names.get(name)
  if (text === undefined) {
    text = `${JSON.stringify(name)}:`
    if (name.length > NAME_MAX_CHARS) return text
    // Anew where it is full: else whoever came with a thousand names first would have their place for ever.
    if (names.size >= NAMES_MAX) names.clear()
    names.set(name, text)
  }
  return text
}
