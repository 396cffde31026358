import { execFileSync } from "node:child_process"
import { existsSync, readFileSync, statSync } from "node:fs"
import { basename, dirname, join, normalize } from "node:path"
import { expect, test } from "vitest"
import { isSharing, SHARING } from "./sharing.ts"

/** The house rules that a machine can check. Each message says how to put it right. */

/** What each folder of src/ may import besides itself; cli/ is the roof and may import everything. An import never goes up. */
const MAY_IMPORT: Record<string, string[]> = {
  core: [],
  contract: ["core"],
  ledger: ["core"],
  hub: ["core", "ledger", "contract"],
  surface: ["hub", "contract", "core", "ledger"],
  client: ["contract", "core"],
  repo: ["core", "contract", "client"],
  runtime: ["client", "contract", "core", "repo"],
  dashboard: ["contract", "core"],
}
const FOLDERS = [...Object.keys(MAY_IMPORT), "cli"]
const CONCRETE_STORE = /\/ledger\/(memory|sqlite|nats|postgres)\.ts$/

const BANNED_WORDS = new Set(["util", "helper", "common", "shared", "misc", "manager", "service", "handler", "processor", "base", "impl"])

/** Integers and + - * / sqrt give the same bits on every machine; the rest of Math, clocks, chance and locales do not. */
const IMPURE: [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\(\s*\)/, "take nowMs as an argument"],
  [/\bMath\.random\b|\bcrypto\b/, "take random bits as an argument"],
  [/\bperformance\b|\bset(?:Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/, "time is the hub's business: take nowMs as an argument"],
  [/\bprocess\.|\bglobalThis\b|\bconsole\.|\bfetch\(/, "hand it in from the hub or cli/"],
  [/\bMath\.(?!abs\b|ceil\b|floor\b|imul\b|max\b|min\b|round\b|sign\b|sqrt\b|trunc\b|clz32\b)\w+/, "record its result in the entry as data"],
  [/\*\*(?!\/)/, "use * : pow may differ between machines"],
  [/\blocaleCompare\b|\bIntl\b|\.toLocale\w+\(/, "compare with < and > : locales differ between machines"],
]

/**
 * What Node 22.18, which users may have, has not, or V8 12.4 cannot parse; the types that are checked here are those of the Node that this is developed on.
 * `shouldUpgradeCallback` may be passed: surface/upgrade-offer.ts does without it.
 */
const NEWER_THAN_NODE_22 =
  /\bthreadCpuUsage\b|\bRegExp\.escape\b|\bPromise\.try\b|\bError\.isError\b|\bMath\.(?:sumPrecise|f16round)\b|\bFloat16Array\b|\bAtomics\.pause\b|\bUint8Array\.from(?:Base64|Hex)\b|\.toBase64\(|\bIterator\.concat\b|\.getOrInsert|\bDurationFormat\b|\bURLPattern\b|\brandomUUIDv7\b|\bmkdtempDisposable|\bUtf8Stream\b|\bkeepAliveTimeoutBuffer\b|\bcreateTagStore\b|\bsetAuthorizer\b|\(\?[ims]*-?[ims]+:/

const HASHING = /\bsha-?(?:1|256|384|512)\b|\bcreateHash\b|\bsubtle\b|\bmd5\b|\bblake\w*/i
const MAX_LINES = 400
const MAX_BYTES = 1024 * 1024

const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], { encoding: "utf8", maxBuffer: 64 * MAX_BYTES })
  .split("\0")
  .filter((file) => file !== "" && existsSync(file))
  .toSorted()
const isTest = (file: string): boolean => /\.(test|contract)\.tsx?$/.test(file)
const code = files.filter((file) => /^(src|test|bench|scripts|bin|examples)\/.*\.(ts|tsx|mjs|cjs|js)$/.test(file))
const sources = code.filter((file) => file.startsWith("src/") && !isTest(file))
const core = sources.filter((file) => file.startsWith("src/core/"))

const texts = new Map<string, string>()
function read(file: string): string {
  const known = texts.get(file) ?? readFileSync(file, "utf8")
  texts.set(file, known)
  return known
}

/** The lines of a file without comments; the numbering stays. Good enough for this house's style, no parser. */
function lines(file: string): string[] {
  const uncommented = read(file).replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
  return uncommented.split("\n").map((line) => line.replace(/(^|[\s;{}(),])\/\/.*$/, "$1"))
}

/** `path:line: what it says` for each line that matches. */
function matches(file: string, pattern: RegExp, remedy: string, of: string[] = lines(file)): string[] {
  return of.flatMap((line, index) => {
    const found = pattern.exec(line)
    return found === null ? [] : [`${file}:${index + 1}: "${found[0].trim()}": ${remedy}`]
  })
}

type Import = { line: number; from: string; path: string }

/** Every module that a file names, static, dynamic or for its types; relative ones resolved from the root of the repository. */
function imports(file: string): Import[] {
  const text = lines(file).join("\n")
  return [...text.matchAll(/(?:\bfrom\s*|\bimport\s*\(\s*|\bimport\s+|\brequire\s*\(\s*)["']([^"'\n]+)["']/g)].map((match) => {
    const from = match[1] ?? ""
    return { line: text.slice(0, match.index).split("\n").length, from, path: from.startsWith(".") ? normalize(join(dirname(file), from)) : from }
  })
}

const folderOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1]

/** `parseURLBase` -> parse, url, base; a plural counts as its singular. */
function words(name: string): string[] {
  return name
    .split(/[^A-Za-z]+|(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/)
    .map((word) => word.toLowerCase())
    .flatMap((word) => [word, word.replace(/s$/, "")])
}

const bannedIn = (name: string): string | undefined => words(name).find((word) => BANNED_WORDS.has(word))

test("files are named for what they hold", () => {
  const wrong = code.flatMap((file) => {
    const word = bannedIn(file.split("/").slice(1).join("/"))
    return word === undefined ? [] : [`${file}: "${word}" says nothing: name the noun that the file holds`]
  })
  expect(wrong).toEqual([])
})

test("exports are named for what they are", () => {
  const wrong = code.flatMap((file) =>
    lines(file).flatMap((line, index) => {
      const name = /^export\s+(?:default\s+)?(?:abstract\s+)?(?:async\s+)?(?:const|let|function\*?|class|type|interface)\s+([\w$]+)/.exec(line)?.[1]
      const word = name === undefined ? undefined : bannedIn(name)
      return word === undefined ? [] : [`${file}:${index + 1}: ${name}: "${word}" says nothing: name what it is or does`]
    }),
  )
  expect(wrong).toEqual([])
})

test("src/ holds the folders of the architecture and nothing else", () => {
  const known = new Set([...FOLDERS, "executor", "chassis", "insight"])
  const wrong = sources.filter((file) => !known.has(folderOf(file) ?? "")).map((file) => `${file}: belongs in one of ${[...known].join(", ")}`)
  expect(wrong).toEqual([])
})

test("an import never goes up", () => {
  const wrong = sources.flatMap((file) => {
    const folder = folderOf(file) ?? ""
    const allowed = MAY_IMPORT[folder]
    if (allowed === undefined) return []
    return imports(file).flatMap(({ line, from, path }) => {
      const target = folderOf(path)
      if (target === undefined || target === folder || allowed.includes(target)) return []
      return [
        `${file}:${line}: ${from}: ${folder}/ may import only ${[folder, ...allowed].join(", ")}: move it down to core/ or contract/, or hand it in from cli/`,
      ]
    })
  })
  expect(wrong).toEqual([])
})

test("node:http is not imported: import reads all that it exports, which loads Node's fetch, WebSocket and HTTP/2, 14 MB", () => {
  const imported = sources.filter((file) =>
    lines(file).some((line) => {
      const names = /^import (?!type\b)(.*) from "(?:node:)?https?"/.exec(line)?.[1]
      return names !== undefined && !names.split(",").every((name) => /^[{\s]*type\b/.test(name))
    }),
  )
  expect(imported, 'take it by process.getBuiltinModule("node:http")').toEqual([])
})

test("only cli/ and the ledger's own folder know the concrete stores", () => {
  const wrong = sources.flatMap((file) => {
    if (["cli", "ledger"].includes(folderOf(file) ?? "")) return []
    return imports(file)
      .filter(({ path }) => CONCRETE_STORE.test(`/${path}`))
      .map(({ line, from }) => `${file}:${line}: ${from}: take a Ledger from ledger/ledger.ts as an argument; cli/up.ts chooses which`)
  })
  expect(wrong).toEqual([])
})

test("what is published does not reach out of src/", () => {
  const wrong = sources.flatMap((file) =>
    imports(file)
      .filter(({ from, path }) => from.startsWith(".") && !path.startsWith("src/") && path !== "package.json")
      .map(({ line, from }) => `${file}:${line}: ${from}: dist/ holds only src/: move it there`),
  )
  expect(wrong).toEqual([])
})

test("what runs on Node asks for nothing that Node 22.18 has not", () => {
  const wrong = sources.filter((file) => !file.startsWith("src/dashboard/")).flatMap((file) => matches(file, NEWER_THAN_NODE_22, "Node 22.18 has it not"))
  expect(wrong).toEqual([])
})

test("the linter holds the same boundaries as this file", () => {
  type Override = { files: string[]; rules: { "no-restricted-imports"?: [string, { patterns: { regex: string }[] }] } }
  const { overrides } = JSON.parse(read(".oxlintrc.json")) as { overrides: Override[] }
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    const banned = FOLDERS.filter((other) => other !== folder && !allowed.includes(other))
    const override = overrides.find(({ files: [glob] }) => glob === `src/${folder}/**`)
    expect(override?.rules["no-restricted-imports"]?.[1].patterns[0]?.regex).toBe(`^(\\.\\./)+(${banned.join("|")})/`)
  }
})

test("core/ imports nothing but core/", () => {
  const wrong = core.flatMap((file) =>
    imports(file)
      .filter(({ path }) => folderOf(path) !== "core")
      .map(({ line, from }) => `${file}:${line}: ${from}: core/ is pure: have it handed in`),
  )
  expect(wrong).toEqual([])
})

test("core/ has no clock, no chance, no I/O and no arithmetic that differs between machines", () => {
  expect(core.flatMap((file) => IMPURE.flatMap(([pattern, remedy]) => matches(file, pattern, remedy)))).toEqual([])
})

test("hash functions enter core/ through hash.ts alone", () => {
  const wrong = core
    .filter((file) => file !== "src/core/hash.ts" && !imports(file).some(({ path }) => path === "src/core/hash.ts"))
    .flatMap((file) => matches(file, HASHING, "take it from core/hash.ts"))
  expect(wrong).toEqual([])
})

test("core/workspace.ts never reaches core/hash.ts: a browser folds the same core", () => {
  const reached = new Map([["src/core/workspace.ts", "src/core/workspace.ts"]])
  for (const [file, way] of reached) {
    if (!existsSync(file)) continue
    for (const { path } of imports(file)) if (folderOf(path) === "core" && !reached.has(path)) reached.set(path, `${way} -> ${basename(path)}`)
  }
  expect(reached.get("src/core/hash.ts"), "cut this way: hand the hash in, or move the type to entry.ts").toBeUndefined()
})

test(`files stay under ${MAX_LINES} lines`, () => {
  const styles = files.filter((file) => file.startsWith("src/") && file.endsWith(".css"))
  const wrong = [...code, ...styles].flatMap((file) => {
    const count = read(file).trimEnd().split("\n").length
    return count > MAX_LINES ? [`${file}: ${count} lines: give the second noun in it a file of its own`] : []
  })
  expect(wrong).toEqual([])
})

test("no test is left out, and nothing is left for later", () => {
  const wrong = code.flatMap((file) => [
    ...matches(file, /\b(?:test|it|describe|suite)(?:\.\w+)*\.(?:only|skip|todo|fails)\b/, "let it run, or delete it"),
    ...matches(
      file,
      /\/[/*].*\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b|^\s*\*.*\b(?:TO[D]O|FIX[M]E|XX[X]|HAC[K])\b/,
      "do it now, or open an issue",
      read(file).split("\n"),
    ),
  ])
  expect(wrong).toEqual([])
})

test("tests that share a process change nothing of it", () => {
  const changes =
    /\bprocess\.(?:chdir|umask|on|once|addListener|exit\w*|abort|title|set\w+)\b|\bprocess\.env(?:\.\w+|\[[^\]]+\])\s*=[^=]|\bdelete process\.|\bvi\.(?:stub\w+|spyOn|mock|doMock|hoisted|useFakeTimers|setSystemTime)\b/
  const wrong = code
    .filter((file) => isTest(file) && isSharing(file))
    .flatMap((file) => matches(file, changes, "take it, or its folder, off test/sharing.ts, or hand it in"))
  expect(wrong).toEqual([])
  expect(
    SHARING.filter((place) => !place.includes("*") && !existsSync(place)),
    "test/sharing.ts names what is not there",
  ).toEqual([])
})

test("a property that is to hold for long lists is tried with long ones, and for long texts: without a size fast-check makes none beyond ten", () => {
  const wrong = code
    .filter((file) => read(file).includes('from "fast-check"'))
    .flatMap((file) => matches(file, /(?:rray\(.*|string\(.*|^\s*\{ .*)maxLength: [\d_]{2,} \}/, 'add size: "max"', read(file).split("\n")))
  expect(wrong).toEqual([])
})

test("git holds no file over 1 MB", () => {
  const wrong = files
    .filter((file) => statSync(file).size > MAX_BYTES)
    .map((file) => `${file}: ${statSync(file).size} bytes: generate it, or add it to .gitignore`)
  expect(wrong).toEqual([])
})

test("nothing names a registry's host or a path of the machine it was made on", () => {
  // Where this checkout lies counts too, unless that is so short (/app) that it could mean anything.
  const here = process.cwd().split("/").length > 2 ? [new RegExp(process.cwd().replace(/[^\w/]/g, "\\$&") + "\\b")] : []
  const places = [/\bregistry\.[a-z0-9-]+\.[a-z]{2,}/, /"resolved": "[h]ttp/, /\.\.\/[s]hared\//, ...here]
  // A test may need an absolute path as bad input.
  const homes = /(?<![\w$}.])\/(?:home\/[a-z]+|[r]oot|Users\/[A-Za-z]+)\//
  const wrong = files.flatMap((file) =>
    (isTest(file) ? places : [...places, homes]).flatMap((place) =>
      matches(file, place, "say it without the place, or take the place as an argument", read(file).split("\n")),
    ),
  )
  expect(wrong).toEqual([])
})

test("every dependency is pinned to one version, and docs/explanation/dependencies.md says why it is there", () => {
  const manifest = JSON.parse(read("package.json")) as { dependencies: Record<string, string>; devDependencies: Record<string, string> }
  const reasons = read("docs/explanation/dependencies.md")
  const wrong = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies }).flatMap(([name, version]) => [
    ...(/^\d+\.\d+\.\d+$/.test(version) ? [] : [`package.json: ${name} ${version}: pin it (npm install --save-exact), then npm ci from clean`]),
    ...(reasons.includes(`\`${name}\``) ? [] : [`docs/explanation/dependencies.md: ${name} is missing: say why it is there, or remove it`]),
  ])
  expect(wrong).toEqual([])
})
