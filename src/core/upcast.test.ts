import { describe, expect, it } from "vitest"
import { HUB, decodeEntry, encodeEntry, type Entry } from "./entry.ts"
import { upcast, type Upcasts } from "./upcast.ts"

const entry = (type: string, v: number, data: unknown): Entry => ({
  seq: 1,
  atMs: 1,
  type,
  v,
  actor: HUB,
  commandId: null,
  commandHash: null,
  causedBy: null,
  data,
})

describe("an entry of an older version", () => {
  const upcasts: Upcasts = {
    "task.added": {
      1: (data) => ({ ...(data as object), priority: 0 }),
      2: (data) => ({ ...(data as object), tags: [] }),
    },
  }

  it("is raised one version at a time to today's", () => {
    expect(upcast(entry("task.added", 1, { id: "a" }), upcasts)).toEqual(entry("task.added", 3, { id: "a", priority: 0, tags: [] }))
    expect(upcast(entry("task.added", 2, { id: "a", priority: 7 }), upcasts)).toEqual(entry("task.added", 3, { id: "a", priority: 7, tags: [] }))
  })

  it("stays as it is at today's version, and where its type has no older one", () => {
    const today = entry("task.added", 3, { id: "a" })
    expect(upcast(today, upcasts)).toBe(today)
    const other = entry("toString", 1, {})
    expect(upcast(other, upcasts)).toBe(other)
  })

  it("leaves the stored bytes alone", () => {
    const bytes = encodeEntry(entry("task.added", 1, { id: "a" }))
    const decoded = decodeEntry(bytes)
    upcast(decoded, upcasts)
    expect(encodeEntry(decoded)).toBe(bytes)
  })
})
