import type { Command } from "commander"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"
import { expect, test } from "vitest"
import { cliReference, CLI_REFERENCE } from "../scripts/cli-reference.ts"
import { wholeProgram } from "../src/cli/completion.ts"
import { parsePlanFile } from "../src/cli/plan-file.ts"
import { carryOut, stepsOf } from "./docs-page.ts"

const pages = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "README.md", "docs/*.md"], { encoding: "utf8" })
  .split("\0")
  .filter((file) => file !== "" && existsSync(file))
  .toSorted()
const textOf = new Map(pages.map((page) => [page, readFileSync(page, "utf8")]))
const programs = pages.filter((page) => stepsOf(textOf.get(page) as string).length > 0)

/** The lines of a page that are no code, numbered from 1. */
function prose(page: string): [number, string][] {
  let fenced = false
  return (textOf.get(page) as string).split("\n").flatMap((line, index): [number, string][] => {
    if (line.startsWith("```")) fenced = !fenced
    return fenced || line.startsWith("```") ? [] : [[index + 1, line]]
  })
}

/** The anchors of a page's headings, as GitHub makes them. */
function anchors(page: string): Set<string> {
  const headings = prose(page).flatMap(([, line]) => /^#{1,6} (.+)$/.exec(line)?.[1] ?? [])
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  )
}

test("README fits two screens", () => {
  expect((textOf.get("README.md") as string).trimEnd().split("\n").length).toBeLessThanOrEqual(90)
})

test("every link of the documents leads somewhere", () => {
  const wrong = pages.flatMap((page) =>
    prose(page).flatMap(([line, text]) =>
      [...text.replace(/`[^`]*`/g, "").matchAll(/\]\(([^)\s]+)\)/g)].flatMap(([, link = ""]) => {
        if (/^[a-z]+:/.test(link)) return []
        const [path = "", anchor] = link.split("#")
        const target = path === "" ? page : normalize(join(dirname(page), path))
        if (!existsSync(target)) return [`${page}:${line}: ${link}: there is no ${target}`]
        if (anchor === undefined || !target.endsWith(".md")) return []
        return textOf.has(target) && anchors(target).has(anchor) ? [] : [`${page}:${line}: ${link}: no heading of ${target} makes this anchor`]
      }),
    ),
  )
  expect(wrong).toEqual([])
})

test("every page can be reached from the index of the documents", () => {
  const index = textOf.get("docs/README.md") as string
  expect(pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md" && !index.includes(`(${page.slice("docs/".length)})`))).toEqual([])
})

type Known = { flags: Map<string, boolean>; needed: string[]; inner: Set<string>; argumentsMax: number }

/** Every command by its path (`task add`): its options, whether each takes a value and which it needs, its subcommands, and how many arguments it takes. */
async function commands(): Promise<Map<string, Known>> {
  const found = new Map<string, Known>()
  const walk = (command: Command, path: string, above: ReadonlyMap<string, boolean>): void => {
    const flags = new Map(above)
    for (const { short, long, required, optional } of command.options)
      for (const flag of [short, long]) if (flag !== undefined) flags.set(flag, required || optional)
    const argumentsMax = command.registeredArguments.reduce((most, { variadic }) => (variadic ? Infinity : most + 1), 0)
    const needed = command.options.flatMap(({ mandatory, long }) => (mandatory && typeof long === "string" ? [long] : []))
    found.set(path, { flags, needed, inner: new Set(command.commands.map((child) => child.name())), argumentsMax })
    for (const child of command.commands) walk(child, `${path} ${child.name()}`.trim(), flags)
  }
  walk(await wholeProgram(), "", new Map(["--help", "-h", "--version", "-V"].map((flag) => [flag, false])))
  return found
}

/** Each piece of a page that names a command line of skein; what the reader does not see is left out. */
function invocations(page: string): { line: number; words: string[] }[] {
  const shown = (textOf.get(page) as string).replace(/^<!-- setup\n[\s\S]*?^-->$/gm, (hidden) => hidden.replace(/.+/g, ""))
  return shown.split("\n").flatMap((text, index) => {
    const pieces = /^[$>] /.test(text) ? [text] : [...text.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code)
    return pieces.flatMap((piece) =>
      [...piece.matchAll(/(?:^|[\s(;|&])skein ((?:[^'"`;|&()<>#]|'[^']*'|"[^"]*")+)/g)].map(([, rest = ""]) => ({
        line: index + 1,
        words: rest
          .replace(/'[^']*'|"[^"]*"/g, "TEXT")
          .split(/\s+/)
          .filter(Boolean),
      })),
    )
  })
}

/** What is wrong with a command line, or null. `task edit|reset` names two commands. */
function faultOf(words: readonly string[], known: ReadonlyMap<string, Known>): string | null {
  let path = ""
  let given = 0
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] as string
    const { flags, inner, argumentsMax } = known.get(path) as Known
    const flag = word.replace(/=.*$/, "")
    if (/^--?[a-z]/i.test(word)) {
      if (!flags.has(flag)) return `"skein ${path}" has no option ${word}`
      if (flags.get(flag) === true && flag === word) at += 1
    } else if (inner.size > 0) {
      const unknown = word.split("|").find((name) => !inner.has(name))
      if (unknown !== undefined) return `"skein ${path}" has no command ${unknown}`
      path = `${path} ${word.split("|")[0]}`.trim()
    } else if ((given += 1) > argumentsMax) return `"skein ${path}" takes ${argumentsMax} arguments, not ${word} as well`
  }
  const missing = (known.get(path) as Known).needed.find((flag) => given > 0 && !words.some((word) => word.startsWith(flag)))
  return missing === undefined ? null : `"skein ${path}" needs ${missing}`
}

test("a remedy that names what to act on gives all that its command needs", async () => {
  const sources = execFileSync("git", ["grep", "-hE", "skein [a-z-]+ .*[$][{]", "--", "src/*.ts", ":!*.test.ts"], { encoding: "utf8" }).split("\n")
  const wrong = [...(await commands())].flatMap(([path, { needed }]) =>
    sources.flatMap((text) =>
      [...text.matchAll(new RegExp(`skein ${path} [$][{][^\`;]*`, "g"))].filter(([said]) => needed.some((flag) => !said.includes(flag))).map(([said]) => said),
    ),
  )
  expect(sources.length).toBeGreaterThan(20)
  expect(wrong).toEqual([])
})

test("every verb and option that the documents name is there", async () => {
  const known = await commands()
  expect(known.size).toBeGreaterThan(50)
  const wrong = pages
    .filter((page) => page !== CLI_REFERENCE)
    .flatMap((page) =>
      invocations(page).flatMap(({ line, words }) => {
        const fault = faultOf(words, known)
        return fault === null ? [] : [`${page}:${line}: ${fault}`]
      }),
    )
  expect(wrong).toEqual([])
})

/** What stands between backticks on a page, in words. */
function spans(page: string): { line: number; word: string }[] {
  return prose(page).flatMap(([line, text]) =>
    [...text.matchAll(/`([^`]+)`/g)].flatMap(([, code = ""]) => code.split(/[\s=]+/).map((word) => ({ line, word: word.replace(/[,;:]$/, "") }))),
  )
}

test("every file of this repository that the documents name is there", () => {
  const tracked = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { encoding: "utf8" }).split("\0").filter(existsSync)
  const names = new Set(tracked.map((file) => basename(file)))
  // What a how-to names under src/ or test/ is the reader's own.
  const ours = (page: string): RegExp =>
    page.startsWith("docs/how-to/") ? /^(?:bench|docs|examples|scripts)\// : /^(?:bench|bin|docs|examples|scripts|src|test)\/|\.tsx?$/
  const checked = pages.flatMap((page) => spans(page).flatMap(({ line, word }) => (ours(page).test(word) && !/[*{]/.test(word) ? [{ page, line, word }] : [])))
  expect(checked.length).toBeGreaterThan(40)
  const isThere = (word: string): boolean => existsSync(word) || existsSync(join("src", word)) || (!word.includes("/") && names.has(word))
  expect(checked.filter(({ word }) => !isThere(word)).map(({ page, line, word }) => `${page}:${line}: there is no ${word}`)).toEqual([])
})

test("every npm script and bench that the documents name is there, and every variable of the environment is read", () => {
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> }
  const benches = new Set([...readFileSync("bench/main.ts", "utf8").matchAll(/^ {2}(\w+): async \(\) =>/gm)].map(([, name]) => name))
  const read = execFileSync("git", ["grep", "-ohE", "\\b(SKEIN|WAKE)_[A-Z_]+\\b", "--", "src", "test", "scripts", "bench", "bin"], { encoding: "utf8" })
  const variables = new Set(read.split("\n"))
  const wrong = pages.flatMap((page) =>
    (textOf.get(page) as string).split("\n").flatMap((text, index) => {
      const missing = [
        ...[...text.matchAll(/\bnpm run ([\w:]+)/g)].flatMap(([, name = ""]) => (Object.hasOwn(scripts, name) ? [] : [`npm run ${name}`])),
        ...[...text.matchAll(/\bnpm run bench -- (\w+)/g)].flatMap(([, name = ""]) => (benches.has(name) ? [] : [`bench ${name}`])),
        ...[...text.matchAll(/\b(?:SKEIN|WAKE)_[A-Z_]+\b/g)].flatMap(([name]) => (variables.has(name) ? [] : [name])),
      ]
      return missing.map((what) => `${page}:${index + 1}: there is no ${what}`)
    }),
  )
  expect(benches.size).toBeGreaterThan(10)
  expect(wrong).toEqual([])
})

test("the house in README is the house: every folder has its line, and every line its folder", () => {
  const [, house = ""] = /^## The house\n\n```\n([\s\S]*?)^```$/m.exec(textOf.get("README.md") as string) ?? []
  const told = [...house.matchAll(/^( *)(\w+)\/(?= )/gm)].map(([, indent, folder]) => (indent === "" ? folder : `src/${folder}`))
  const tracked = execFileSync("git", ["ls-files", "-z"], { encoding: "utf8" }).split("\0").filter(existsSync)
  const folders = new Set(tracked.flatMap((file) => /^(?:src\/)?\w+(?=\/)/.exec(file)?.[0] ?? []).filter((folder) => folder !== "src"))
  expect(new Set(told)).toEqual(folders)
})

test("every plan in the documents is sound, but those that show faults", () => {
  const plans = pages.flatMap((page) =>
    [...(textOf.get(page) as string).matchAll(/^```yaml ?(.*)\n(plan:[\s\S]*?)^```$/gm)].map(([, name = "", text = ""]) => ({ page, name, text })),
  )
  expect(plans.length).toBeGreaterThan(3)
  for (const { page, name, text } of plans) {
    const result = parsePlanFile(Buffer.from(text))
    const faults = "ok" in result ? [] : result.faults.map(({ line, message }) => `${line}: ${message}`)
    if (name.startsWith("faulty")) expect(faults, `${page}: ${name}`).not.toEqual([])
    else expect(faults, `${page}: ${name}`).toEqual([])
  }
})

test(`${CLI_REFERENCE} says what the command line says`, async () => {
  const made = await cliReference()
  expect(readFileSync(CLI_REFERENCE, "utf8"), "node scripts/cli-reference.ts writes it anew").toBe(made)
})

test.concurrent.each(programs)("%s: what it tells you to type does what it says", { timeout: 90_000 }, async (page) => {
  expect((await carryOut(textOf.get(page) as string)).join("\n\n")).toBe("")
})
