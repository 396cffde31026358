import type { Entry } from "./entry.ts"

/** For each event type, for each old version of its data, the pure function that makes the next version of it. */
export type Upcasts = Readonly<Record<string, Readonly<Record<number, (data: unknown) => unknown>>>>

/**
 * What this release still reads of older releases. A row stays for ever: the bytes in old ledgers never change.
 * Empty: every event type is at its first version.
 */
export const UPCASTS: Upcasts = {}

/** The entry as today's code knows it. Only the decoded copy changes; what is hashed and proven are the stored bytes. */
export function upcast(entry: Entry, upcasts: Upcasts): Entry {
  const versions = Object.hasOwn(upcasts, entry.type) ? upcasts[entry.type] : undefined
  if (!versions) return entry
  let { v, data } = entry
  for (let next = versions[v]; next; next = versions[v]) {
    data = next(data)
    v++
  }
  return v === entry.v ? entry : { ...entry, v, data }
}
