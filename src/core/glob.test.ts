import fc from "fast-check"
import { expect, test } from "vitest"
import { type Glob, type GlobFault, globOfPath, isGlobFault, lenientGlob, parseGlob, pathFault } from "./glob.ts"
import { pathInBoth, globOf, intersects, matches, newEffort } from "./glob-match.ts"

function glob(text: string): Glob {
  const parsed = parseGlob(text)
  if (isGlobFault(parsed)) throw new Error(`${text}: ${parsed.message}`)
  return parsed
}

function fault(text: string): GlobFault {
  const parsed = parseGlob(text)
  if (!isGlobFault(parsed)) throw new Error(`${text} was taken for a glob`)
  return parsed
}

test.each([
  ["src/a.ts", ["src/a.ts"], ["src/a.tsx", "src", "a.ts"]],
  ["src/*.ts", ["src/a.ts", "src/.ts", "src/a.b.ts"], ["src/b/a.ts", "src/a.js"]],
  ["src/**", ["src", "src/a", "src/a/b/c"], ["srca", "lib/src/a"]],
  ["src/", ["src/a", "src/a/b"], ["lib"]],
  ["**/*.ts", ["a.ts", "x/y/a.ts"], ["a.js", "a.ts/b"]],
  ["a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c", "a/b/b/c"], ["a/c", "a/b/x"]],
  ["**", ["a", "a/b"], []],
  ["a?c", ["abc", "a.c", "a😀c"], ["ac", "a/c"]],
  ["[a-c]x", ["ax", "cx"], ["dx"]],
  ["[!a-c]x", ["dx", ".x"], ["ax", "/x"]],
  ["[]a]x", ["]x", "ax"], ["bx"]],
  ["[[:]x", ["[x", ":x"], ["ax"]],
  ["[a-]x", ["-x", "ax"], ["bx"]],
  ["{a,b{c,d}}.{ts,js}", ["a.ts", "bd.js"], ["b.ts"]],
  ["{src,lib/**}/*.ts", ["src/a.ts", "lib/a.ts", "lib/x/y/a.ts"], ["src/x/a.ts"]],
  ["{,a}**/x", ["x", "b/x", "b/c/x", "ab/x"], ["a"]],
  ["a**b", ["ab", "axb"], ["a/b"]],
  ["app/(group)/[[]id]/page.tsx", ["app/(group)/[id]/page.tsx"], ["app/(group)/i/page.tsx"]],
])("%s matches what it says", (text, yes, no) => {
  expect(yes.filter((path) => !matches(glob(text), path))).toEqual([])
  expect(no.filter((path) => matches(glob(text), path))).toEqual([])
})

test.each([
  ["", "syntax", 0],
  ["/etc/passwd", "outside", 0],
  ["../x", "outside", 0],
  ["src/../../x", "outside", 4],
  ["{a/..,b}/x", "outside", 3],
  ["C:/x", "outside", 0],
  ["~/x", "outside", 0],
  ["!src", "syntax", 0],
  ["src/[a", "syntax", 4],
  ["src/{a,b", "syntax", 4],
  ["src/{a}", "syntax", 4],
  ["src/[z-a]", "syntax", 5],
  ["src/[a/b]", "syntax", 6],
  ["src//a", "syntax", 4],
  ["./a", "syntax", 0],
  ["a\\b", "syntax", 1],
  ["a\nb", "syntax", 1],
  ["{.,..}/x", "syntax", 0],
  ["a".repeat(513), "syntax", 512],
  ["?".repeat(65), "syntax", 64],
  [`x${"{a/b,c/d}".repeat(7)}`, "syntax", 1],
  ["{".repeat(6), "syntax", 4],
  ["src/[[:alpha:]]*", "syntax", 5],
  ["[!a[=e=]]", "syntax", 3],
  [`x{/a,/b,/c,/d,/e}${"x?".repeat(50)}${"y".repeat(380)}`, "syntax", 15],
])("%j is refused at its place", (text, kind, at) => {
  expect(fault(text)).toMatchObject({ fault: kind, at })
  expect(fault(text).remedy).not.toBe("")
})

test.each([
  ["src/**", "src/a/b.ts"],
  ["**/*.ts", "src/**"],
  ["src/*/index.ts", "src/core/*"],
  ["a*c", "ab*"],
  ["[a-f]oo", "{doo,zoo}"],
  ["x/**/y", "x/y"],
  ["*.test.ts", "glob.*"],
])("%s and %s can match one path, which is named", (a, b) => {
  const path = pathInBoth(glob(a), glob(b))
  expect(path).not.toBeNull()
  expect(matches(glob(a), path as string) && matches(glob(b), path as string)).toBe(true)
})

test.each([
  ["src/**", "lib/**"],
  ["**/*.ts", "**/*.js"],
  ["src/*", "src/a/b"],
  ["a?", "a??"],
  ["[a-c]x", "[d-f]x"],
  ["[.]", "?"],
  ["{[.],[.][.]}a", "[.]"],
])("%s and %s have no path in common", (a, b) => {
  // A dot alone is no file, so a class that holds nothing else is no glob at all.
  const [one, other] = [parseGlob(a), parseGlob(b)]
  if (isGlobFault(one) || isGlobFault(other)) expect([a, b].join()).toContain("[.]")
  else expect(pathInBoth(one, other)).toBeNull()
})

// Every path of up to three segments over a small alphabet: whatever two small globs have in common is among them.
const NAMES = ["a", "b", "ab", "ba", "aa", "bb", ".a", "a.", "aab", "aba", "abb", "baa", "bab", "bba", "aaa", "bbb", "...", ".ab", "a.b"]
const PATHS = [1, 2, 3].flatMap((length) => paths(length))

function paths(length: number): string[] {
  return length === 0 ? [""] : paths(length - 1).flatMap((before) => NAMES.map((name) => (before === "" ? name : `${before}/${name}`)))
}

const piece = fc.constantFrom("a", "b", "a", "b", "*", "?", "[ab]", "[!a]", "[.a]", "{a,b}", "{,a}", "{ab,b*}", ".")
const name = fc.array(piece, { minLength: 1, maxLength: 3 }).map((pieces) => pieces.join(""))
const segment = fc.oneof({ weight: 4, arbitrary: name }, { weight: 1, arbitrary: fc.constantFrom("**", "*") })
const plain = fc.array(segment, { minLength: 1, maxLength: 3 }).map((segments) => segments.join("/"))
const text = fc.oneof(
  { weight: 4, arbitrary: plain },
  { weight: 1, arbitrary: fc.tuple(plain, plain, fc.constantFrom("", "/a", "/*")).map(([a, b, after]) => `{${a},${b}}${after}`) },
)
const valid = text.filter((candidate) => globOf(candidate) !== null)

/** The rules once more, the slow way: braces written out whole, then a regular expression for each segment. */
function reference(candidate: string): (path: string) => boolean {
  // Two stars that braces bring together are no `**`: only those that stand together in the text are.
  const marked = candidate.replace(/\*\*+/g, "§")
  const forms = writtenOut(marked).map((form) => form.split("/").map((part) => (part === "§" ? null : new RegExp(`^${expression(part)}$`, "u"))))
  const walk = (form: readonly (RegExp | null)[], path: readonly string[]): boolean => {
    const [first, ...rest] = form
    if (first === undefined) return path.length === 0
    if (first === null) return path.some((_, at) => walk(rest, path.slice(at))) || walk(rest, [])
    return path.length > 0 && first.test(path[0] as string) && walk(rest, path.slice(1))
  }
  return (path) => forms.some((form) => walk(form, path.split("/")))
}

function writtenOut(candidate: string): string[] {
  const open = candidate.lastIndexOf("{")
  if (open < 0) return [candidate]
  const close = candidate.indexOf("}", open)
  const options = candidate.slice(open + 1, close).split(",")
  return options.flatMap((option) => writtenOut(candidate.slice(0, open) + option + candidate.slice(close + 1)))
}

function expression(part: string): string {
  return part
    .replace(/[*§]+/g, "[^/]*")
    .replace(/(?<!\[|\[!)\?/g, "[^/]")
    .replace(/\[!/g, "[^")
    .replace(/(?<!\[)\.(?![^[]*\])/g, "\\.")
}

test("a glob matches exactly the paths that the rules give it, over every path of a generated tree", () => {
  const sample = fc.array(fc.constantFrom(...PATHS), { minLength: 50, maxLength: 200, size: "max" })
  fc.assert(
    fc.property(valid, sample, (candidate, tree) => {
      const [read, expected] = [glob(candidate), reference(candidate)]
      for (const path of tree) expect(matches(read, path), `${candidate} on ${path}`).toBe(expected(path))
    }),
    { numRuns: 400 },
  )
})

test("two globs meet exactly where brute force finds a path that both match", () => {
  let met = 0
  fc.assert(
    fc.property(valid, valid, (a, b) => {
      const found = pathInBoth(glob(a), glob(b))
      const [expectA, expectB] = [reference(a), reference(b)]
      if (found === null) {
        const missed = PATHS.find((path) => expectA(path) && expectB(path))
        expect(missed, `${a} and ${b}`).toBeUndefined()
      } else {
        met += 1
        expect(pathFault(found), `${a} and ${b} at ${found}`).toBeNull()
        expect(expectA(found) && expectB(found), `${a} and ${b} at ${found}`).toBe(true)
      }
    }),
    { numRuns: 300 },
  )
  expect(met).toBeGreaterThan(30)
})

test("whether two globs meet does not depend on their order, and every glob meets itself", () => {
  fc.assert(
    fc.property(valid, valid, (a, b) => {
      expect(intersects(glob(a), glob(b))).toBe(intersects(glob(b), glob(a)))
      expect(intersects(glob(a), glob(a))).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test("reading never throws, whatever the text, and a fault points into it", () => {
  const odd = fc.string({ unit: fc.constantFrom("a", "/", "*", "?", "[", "]", "{", "}", ",", "!", "-", ".", "\\", "😀"), maxLength: 24, size: "max" })
  fc.assert(
    fc.property(odd, (candidate) => {
      const read = parseGlob(candidate)
      if (isGlobFault(read)) expect(read.at >= 0 && read.at <= candidate.length).toBe(true)
      else expect(intersects(read, read), candidate).toBe(true)
    }),
    { numRuns: 2_000 },
  )
})

test("the worst globs that are let in are compared in a bounded number of steps", () => {
  const [a, b] = [glob("a*".repeat(60)), glob(`${"*a".repeat(60)}b`)]
  const effort = newEffort()
  expect(pathInBoth(a, b, effort)).not.toBeNull()
  expect(matches(a, "a".repeat(4_000), effort)).toBe(true)
  expect(effort.left).toBeGreaterThan(0)
})

test("a comparison pays for each range of characters that it looks at", () => {
  const many = (from: number): string => Array.from({ length: 200 }, (_, at) => String.fromCodePoint(from + 2 * at)).join("")
  const effort = { left: 10_000 }
  expect(pathInBoth(glob(`*[${many(0x100)}]?`), glob(`*[${many(0x101)}]*?`), effort)).not.toBeNull()
  expect(effort.left).toBeLessThan(9_000)
})

test("no comparison does more work than its effort pays for, however often braces write a segment out", () => {
  const many = (tail: string): Glob => glob(`${"{a/,b/}".repeat(6)}${tail}`)
  const [a, b] = [many(`?${"zzzzzz?".repeat(50)}`), many(`b${"y".repeat(400)}*`)]
  const segments = new Set(a.alternatives.flatMap((alternative) => alternative.segments))
  expect([a.alternatives.length, segments.size]).toEqual([64, 13])
  // Each of 4,096 pairs looks at the last segments alone, whose automata are built once.
  const effort = { left: 1_000_000 }
  expect(pathInBoth(a, b, effort)).toBeNull()
  expect(effort.left).toBeGreaterThan(900_000)
  // Each path costs a step at least.
  const asked = { left: 99 }
  for (let time = 0; time < 100; time += 1) expect(matches(glob("**/x*"), "a/b", asked)).toBe(time === 99)
})

test("what takes too long to tell counts as meeting, in a path that the first one matches", () => {
  const [a, b] = [glob(`${"*a".repeat(60)}[b]`), glob(`${"*a".repeat(60)}[c]`)]
  expect(pathInBoth(a, b)).toBeNull()
  const path = pathInBoth(a, b, { left: 1_000 })
  expect(path !== null && matches(a, path)).toBe(true)
})

test("however a disk spells a letter with a mark, it is the same file; capitals are told from small letters", () => {
  for (const [pattern, path] of [
    ["caf\u00e9/*", "cafe\u0301/x"],
    ["cafe\u0301/**", "caf\u00e9/x"],
    ["caf?", "cafe\u0301"],
    ["[\u00e0-\u00ff]", "e\u0301"],
    ["*.{cafe\u0301,x}", "a.caf\u00e9"],
  ] as const) {
    expect(matches(glob(pattern), path), pattern).toBe(true)
    expect(intersects(glob(pattern), glob(globOfPath(path))), pattern).toBe(true)
  }
  expect(matches(glob("README.md"), "readme.md")).toBe(false)
})

test("a path becomes the glob that matches it and nothing else", () => {
  const path = "app/[id]/{x}/a*b?.tsx"
  expect(matches(glob(globOfPath(path)), path)).toBe(true)
  expect(matches(glob(globOfPath(path)), "app/i/{x}/a*b?.tsx")).toBe(false)
})

test("what an older ledger holds and is no glob today stands for the path that it spells", () => {
  expect(matches(lenientGlob("src/{a"), "src/{a")).toBe(true)
  expect(intersects(lenientGlob("src/{a"), glob("src/**"))).toBe(true)
})

test.each([
  ["src/a.ts", null],
  ["/etc/passwd", "outside"],
  ["a/../../b", "outside"],
  ["C:\\x", "outside"],
  ["", "syntax"],
  ["a//b", "syntax"],
  ["./a", "syntax"],
  ["a\0b", "syntax"],
])("the path %j is judged", (path, kind) => {
  expect(pathFault(path)?.fault ?? null).toBe(kind)
})
