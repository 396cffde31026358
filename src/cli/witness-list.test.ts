import { mkdtempSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, test } from "vitest"
import { readWitnesses, writeWitnesses } from "./witness-list.ts"

test("a list of witnesses reads as it was written, and one that is none is named with its file", () => {
  const instance = { directory: mkdtempSync(join(tmpdir(), "skein-witnesses-")), repository: null }
  expect(readWitnesses(instance, "main")).toEqual([])
  const known = [{ url: "http://127.0.0.1:7800", vkey: "witness+1a2b3c4d+BA", seenSize: 7 }]
  writeWitnesses(instance, "main", known)
  expect(readWitnesses(instance, "main")).toEqual(known)
  const path = join(instance.directory, "witnesses-main.json")
  for (const text of ["", "null", "{}", "[null]", '[{"url":"http://127.0.0.1:7800"}]', JSON.stringify([{ ...known[0], seenSize: -1 }]), "\0"]) {
    writeFileSync(path, text)
    expect(() => readWitnesses(instance, "main"), text).toThrow(`${path} is no list of witnesses`)
  }
})
