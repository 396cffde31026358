import fc from "fast-check"
import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { StateDigest } from "./digest.ts"
import type { Write } from "./ink.ts"

const sha256 = (bytes: Uint8Array): Uint8Array => createHash("sha256").update(bytes).digest()
const bigOf = ({ name }: Table, key: string, json: string): bigint => BigInt(`0x${createHash("sha256").update(`${name}\0${key}\0${json}`).digest("hex")}`)
const hexOf = (sum: bigint): string => BigInt.asUintN(256, sum).toString(16).padStart(64, "0")

type Table = { name: string; write: Write<string> }
const tableOf = (name: string): Table => ({ name, write: (json, ink) => ink.text(json) })

const record = fc.tuple(fc.constantFrom(tableOf("tasks"), tableOf("agents")), fc.string(), fc.string())

describe("a state digest", () => {
  it("is the sum of the records' hashes modulo 2^256", () => {
    fc.assert(
      fc.property(fc.array(record), fc.array(record), (added, removed) => {
        const digest = new StateDigest(sha256)
        let sum = 0n
        for (const [table, key, json] of added) {
          digest.add(table, key, json)
          sum += bigOf(table, key, json)
        }
        for (const [table, key, json] of removed) {
          digest.remove(table, key, json)
          sum -= bigOf(table, key, json)
        }
        expect(digest.digest()).toBe(hexOf(sum))
        expect(new StateDigest(sha256, digest.digest()).digest()).toBe(digest.digest())
      }),
    )
  })

  it("does not depend on the order, and what is removed leaves no trace", () => {
    fc.assert(
      fc.property(fc.array(record), record, (records, extra) => {
        const one = new StateDigest(sha256)
        for (const each of records) one.add(...each)
        const other = new StateDigest(sha256)
        other.add(...extra)
        for (const each of records.toReversed()) other.add(...each)
        other.remove(...extra)
        expect(other.digest()).toBe(one.digest())
      }),
    )
  })

  it("tells tables, keys and records apart even where their texts run together", () => {
    const of = (table: string, key: string, json: string): string => {
      const digest = new StateDigest(sha256)
      digest.add(tableOf(table), key, json)
      return digest.digest()
    }
    expect(new Set([of("ab", "c", "{}"), of("a", "bc", "{}"), of("a", "b", "c{}"), of("ab", "c{}", "")]).size).toBe(4)
  })

  it("carries through every limb", () => {
    const ones = new StateDigest(() => new Uint8Array(32).fill(255))
    ones.add(tableOf("t"), "k", "1")
    expect(ones.digest()).toBe("f".repeat(64))
    ones.add(tableOf("t"), "k", "1")
    expect(ones.digest()).toBe(`${"f".repeat(63)}e`)
    ones.remove(tableOf("t"), "k", "1")
    ones.remove(tableOf("t"), "k", "1")
    expect(ones.digest()).toBe("0".repeat(64))
    ones.remove(tableOf("t"), "k", "1")
    expect(ones.digest()).toBe(`${"0".repeat(63)}1`)
  })

  it("takes records longer than its scratch space", () => {
    const long = "ü".repeat(100_000)
    const digest = new StateDigest(sha256)
    digest.add(tableOf("t"), "k", long)
    expect(digest.digest()).toBe(hexOf(bigOf(tableOf("t"), "k", long)))
  })

  it("refuses a stored digest that is none", () => {
    expect(() => new StateDigest(sha256, "12")).toThrow("64 hex digits")
  })
})
