import type { Command } from "commander"
import { execFileSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { dirname, join, normalize } from "node:path"
import { expect, test } from "vitest"
import { cliReference, CLI_REFERENCE, wholeProgram } from "../scripts/cli-reference.ts"
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

type Known = { flags: Map<string, boolean>; inner: Set<string>; argumentsMax: number }

/** Every command by its path (`task add`): its options and whether each takes a value, its subcommands, and how many arguments it takes. */
async function commands(): Promise<Map<string, Known>> {
  const found = new Map<string, Known>()
  const walk = (command: Command, path: string, above: ReadonlyMap<string, boolean>): void => {
    const flags = new Map(above)
    for (const { short, long, required, optional } of command.options)
      for (const flag of [short, long]) if (flag !== undefined) flags.set(flag, required || optional)
    const argumentsMax = command.registeredArguments.reduce((most, { variadic }) => (variadic ? Infinity : most + 1), 0)
    found.set(path, { flags, inner: new Set(command.commands.map((child) => child.name())), argumentsMax })
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
  return null
}

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
