import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, test } from "vitest"
import { DELIVERABLE_MAX_BYTES, deliverableText, withoutControls, producedFiles, readDeliverable, readEvidence } from "./deliverable.ts"

let out = ""
beforeEach(() => {
  out = mkdtempSync(join(tmpdir(), "skein out "))
})
afterEach(() => rmSync(out, { recursive: true, force: true }))

const write = (name: string, content: string | Buffer): void => writeFileSync(join(out, name), content)

describe("a deliverable's text", () => {
  test("what fits stays as it is", () => {
    expect(deliverableText("# Report\n\n\tall well — 渡り鳥 🪿\n")).toBe("# Report\n\n\tall well — 渡り鳥 🪿\n")
    expect(deliverableText("x".repeat(DELIVERABLE_MAX_BYTES))).toHaveLength(DELIVERABLE_MAX_BYTES)
  })

  test("terminal sequences and control characters are taken out, line ends become one kind", () => {
    expect(withoutControls("\u001b[1;31mred\u001b[0m\u001b]0;title\u0007 a\u0000b\u0008c\u009bd\r\ne\rf\u007f\ud800")).toBe("red abcd\ne\nf\ufffd")
  })

  test("what is too long is cut, and says how much there was", () => {
    const text = deliverableText("x".repeat(DELIVERABLE_MAX_BYTES + 1))
    expect(Buffer.byteLength(text)).toBeLessThanOrEqual(DELIVERABLE_MAX_BYTES)
    expect(text).toMatch(/x\n\[cut at 32704 bytes of 32769\]\n$/)
    expect(deliverableText("beginning", { bytes: 9_000_000, atLeast: true })).toBe("beginning\n[cut at 9 bytes of more than 9000000]\n")
  })

  test("whatever the text, the result fits an entry, is well formed and is a beginning of it", () => {
    const piece = fc.constantFrom("a", '"', "\n", "\\", "é", "渡", "🪿", "\u001b[0m", "\ud800", "\t")
    const property = fc.property(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.integer({ min: 1, max: 40_000 }), (pieces, times) => {
      const text = deliverableText(pieces.join("").repeat(times))
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(DELIVERABLE_MAX_BYTES)
      expect(Buffer.byteLength(JSON.stringify(text))).toBeLessThanOrEqual(49_152)
      expect(text.isWellFormed()).toBe(true)
      const kept = text.replace(/\n\[cut at \d+ bytes of \d+\]\n$/, "")
      expect(withoutControls(pieces.join("").repeat(times)).startsWith(kept)).toBe(true)
    })
    fc.assert(property, { numRuns: 60, verbose: 1 })
  })
})

describe("deliverable.md", () => {
  test("none is none", async () => {
    expect(await readDeliverable(out)).toBeNull()
  })

  test("a long one is read only as far as needed, and cut between characters", async () => {
    write("deliverable.md", `a${"渡".repeat(1_000_000)}`)
    const text = await readDeliverable(out)
    expect(text).toMatch(/^a渡+\n\[cut at \d+ bytes of 3000001\]\n$/)
    expect(Buffer.byteLength(text ?? "")).toBeLessThanOrEqual(DELIVERABLE_MAX_BYTES)
  })

  test("a character at which the reading stopped is left out, not shown broken", async () => {
    write("deliverable.md", `a${"\u001b[31m渡".repeat(10_000)}`)
    expect(await readDeliverable(out)).toMatch(/^a渡+\n\[cut at \d+ bytes of 80001\]\n$/)
  })

  test("bytes that are not UTF-8 are shown as such", async () => {
    write("deliverable.md", Buffer.from([0x61, 0xff, 0x62]))
    expect(await readDeliverable(out)).toBe("a\ufffdb")
  })

  test("a link is not followed, a pipe is not waited for, a folder is none", async () => {
    symlinkSync("/etc/passwd", join(out, "deliverable.md"))
    await expect(readDeliverable(out)).rejects.toThrow("deliverable.md cannot be read (a symbolic link)")
    rmSync(join(out, "deliverable.md"))
    execFileSync("mkfifo", [join(out, "deliverable.md")])
    await expect(readDeliverable(out)).rejects.toThrow("deliverable.md is not a regular file")
    rmSync(join(out, "deliverable.md"))
    mkdirSync(join(out, "deliverable.md"))
    await expect(readDeliverable(out)).rejects.toThrow("deliverable.md is not a regular file")
  })
})

describe("evidence.json", () => {
  test("without it nothing is claimed; what it holds is taken", async () => {
    expect(await readEvidence(out)).toEqual({ testsPass: null, commit: null, links: [] })
    write("evidence.json", JSON.stringify({ testsPass: false, commit: "0123abc", links: ["https://example.org/x?y=1"] }))
    expect(await readEvidence(out)).toEqual({ testsPass: false, commit: "0123abc", links: ["https://example.org/x?y=1"] })
  })

  test.each([
    ["no JSON", "{"],
    ["nothing", ""],
    ["not UTF-8", Buffer.from([0x22, 0xff, 0x22])],
    ["no object", "[]"],
    ["null", "null"],
    ["a text for a truth value", '{"testsPass":"yes"}'],
    ["a commit that is a branch", '{"commit":"main"}'],
    ["a link that is a script", '{"links":["javascript:alert(1)"]}'],
    ["a link with a control character", '{"links":["https://a/\\u001b[31m"]}'],
    ["too many links", JSON.stringify({ links: Array.from({ length: 33 }, () => "https://a/") })],
    ["an unknown key", '{"__proto__":{"testsPass":true}}'],
    ["too long", JSON.stringify({ links: ["x".repeat(70_000)] })],
  ])("%s is refused with what to mend", async (_, content) => {
    write("evidence.json", content)
    await expect(readEvidence(out)).rejects.toThrow(/^evidence\.json/)
  })
})

test("produced files are named by their path, without the two that have a meaning", async () => {
  mkdirSync(join(out, "b", "c"), { recursive: true })
  for (const name of ["deliverable.md", "evidence.json", "a.txt", "b/c/d.txt"]) write(name, "")
  symlinkSync("/etc/passwd", join(out, "link"))
  expect(await producedFiles(out)).toEqual(["a.txt", "b/c/d.txt"])
})
