/** Texts that JSON quotes as they stand. */
const PLAIN = /^[A-Za-z0-9 ._:/-]*$/

/** What `JSON.stringify` says of a text or of nothing: for what is written out on the hot path. */
export function textJson(text: string | null): string {
  if (text === null) return "null"
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text)
}

/** What `JSON.stringify` says of a list, most of which are empty. */
export function listJson(list: readonly unknown[]): string {
  return list.length === 0 ? "[]" : JSON.stringify(list)
}

/** What `JSON.stringify` says of a record or of nothing, most of which are empty. */
export function recordJson(record: object | null): string {
  if (record === null) return "null"
  for (const _ in record) return JSON.stringify(record)
  return "{}"
}
