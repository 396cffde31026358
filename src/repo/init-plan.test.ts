import { chmodSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import fc from "fast-check"
import { parse as parseJson, type ParseError } from "jsonc-parser"
import { parse as parseToml, stringify } from "smol-toml"
import { afterAll, describe, expect, test } from "vitest"
import { AGENT_KINDS, type AgentKind, settingsOf } from "./agent-kinds.ts"
import { PARAGRAPH_MARKS } from "./init-paragraph.ts"
import { planInit, planUndo } from "./init-plan.ts"
import type { FileRecord } from "./init-record.ts"
import { removeEmptyFolders, writeChanges } from "./settings-files.ts"
import { isRecord, sameValue } from "./settings-value.ts"

const made: string[] = []
afterAll(() => made.forEach((folder) => rmSync(folder, { recursive: true, force: true })))

function worktree(files: Readonly<Record<string, string>> = {}): string {
  const top = mkdtempSync(join(tmpdir(), "skein init-"))
  made.push(top)
  for (const [file, text] of Object.entries(files)) put(top, file, text)
  return top
}

function put(top: string, file: string, text: string): void {
  mkdirSync(dirname(join(top, file)), { recursive: true })
  writeFileSync(join(top, file), text)
}

const at = (top: string, file: string): string => readFileSync(join(top, file), "utf8")

/** Everything below a folder: kinds, modes, bytes. */
function tree(top: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(top, { recursive: true, encoding: "utf8" })
      .toSorted()
      .map((name) => {
        const path = join(top, name)
        const found = lstatSync(path)
        const what = found.isSymbolicLink() ? readlinkSync(path) : found.isDirectory() ? "/" : readFileSync(path).toString("base64")
        return [name, `${found.isSymbolicLink() ? "" : statSync(path).mode.toString(8)} ${what}`]
      }),
  )
}

type Done = { files: FileRecord[]; folders: string[]; changed: string[] }

function init(top: string, kinds: readonly AgentKind[] = AGENT_KINDS, before: Done = { files: [], folders: [], changed: [] }, command = ["skein"]): Done {
  const { changes, files } = planInit({ top, joining: kinds.map((kind) => ({ kind, agent: kind })), command, files: before.files })
  const folders = writeChanges(changes)
  return { files, folders: [...before.folders, ...folders], changed: changes.map(({ file }) => file) }
}

function undo(top: string, { files, folders }: Done): void {
  writeChanges(planUndo(top, files))
  removeEmptyFolders(folders)
}

const read = (text: string): unknown => {
  const errors: ParseError[] = []
  const value: unknown = parseJson(text.replace("\ufeff", ""), errors, { allowTrailingComma: true })
  expect(errors, text).toEqual([])
  return value
}

/** Whether all that was there is there, in its order; lists may have got longer. */
function holds(after: unknown, before: unknown): boolean {
  if (Array.isArray(before)) return Array.isArray(after) && before.every((item, index) => sameValue(after[index], item))
  if (!isRecord(before) || !isRecord(after)) return sameValue(after, before)
  const keys = Object.keys(before)
  return (
    sameValue(
      Object.keys(after).filter((key) => keys.includes(key)),
      keys,
    ) && keys.every((key) => holds(after[key], before[key]))
  )
}

const word = fc.oneof(fc.constantFrom("theme", "model", "//", "a b", "mcp", "🪿", "x\ny"), fc.string({ maxLength: 8 })).filter((key) => key !== "__proto__")
const leaf = fc.oneof(
  fc.string({ maxLength: 12, size: "max" }),
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.constantFrom("// no comment", "/* nor this */", 'a\\"}{][,'),
)
const anything = fc.oneof(leaf, fc.array(leaf, { maxLength: 3 }), fc.dictionary(word, leaf, { maxKeys: 3, noNullPrototype: true }))
const group = fc.record({ matcher: fc.string({ maxLength: 5 }), hooks: fc.constantFrom([{ type: "command", command: "prettier --write" }], []) })
/** Settings as users have them: of their own, and where Skein writes too. */
const settings = fc
  .tuple(
    fc.dictionary(word, anything, { maxKeys: 3, noNullPrototype: true }),
    fc.record(
      {
        mcpServers: fc.dictionary(word, fc.record({ command: leaf }), { maxKeys: 2, noNullPrototype: true }),
        hooks: fc.record(
          { PreToolUse: fc.array(group, { maxLength: 2 }), SessionStart: fc.array(group, { maxLength: 2 }) },
          { requiredKeys: [], noNullPrototype: true },
        ),
        permissions: fc.record(
          { allow: fc.array(fc.string({ maxLength: 6 }), { maxLength: 2 }), deny: fc.array(fc.string(), { maxLength: 1 }) },
          { requiredKeys: [], noNullPrototype: true },
        ),
        enabledMcpjsonServers: fc.array(fc.string({ maxLength: 6 }), { maxLength: 2 }),
      },
      { requiredKeys: [], noNullPrototype: true },
    ),
  )
  .map(([own, known]) => ({ ...own, ...known, mcp: {} }))
const style = fc.record({
  indent: fc.constantFrom("", "  ", "    ", "\t"),
  crlf: fc.boolean(),
  bom: fc.boolean(),
  newline: fc.boolean(),
  comments: fc.boolean(),
})

const jsonFile = fc.tuple(settings, style).map(([value, { indent, crlf, bom, newline, comments }]) => {
  let text = JSON.stringify(value, null, indent) + (newline ? "\n" : "")
  if (comments && indent !== "") {
    // At ends of lines only, where no string can be: strings hold no line breaks in JSON.
    text = text.replace(/([{[,])$/gm, "$1 // kept").replace(/([}\]"\d])\n(\s*[}\]])/g, "$1, // last\n$2 /* c */")
  }
  return (bom ? "\ufeff" : "") + (crlf ? text.replaceAll("\n", "\r\n") : text)
})
const tomlFile = fc
  .tuple(
    fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.oneof(fc.string({ maxLength: 8 }), fc.integer(), fc.boolean()), { maxKeys: 3, noNullPrototype: true }),
    fc.dictionary(fc.stringMatching(/^[a-z]{1,6}$/), fc.record({ command: fc.string({ maxLength: 8 }) }, { noNullPrototype: true }), {
      maxKeys: 2,
      noNullPrototype: true,
    }),
    fc.boolean(),
  )
  .map(([own, servers, newline]) => `# mine\n${stringify({ ...own, mcp_servers: servers })}`.replace(/\n$/, newline ? "\n" : ""))
const proseFile = fc
  .array(fc.constantFrom("# Title", "", "Some text.", "  ", "```sh", "<!-- mine -->"), { maxLength: 5 })
  .chain((lines) => fc.constantFrom(lines.join("\n"), `${lines.join("\n")}\n`, lines.join("\r\n")))
const optional = (file: fc.Arbitrary<string>): fc.Arbitrary<string | null> => fc.oneof(fc.constant(null), fc.constantFrom("", "\n"), file, file)
const blankless = (file: fc.Arbitrary<string>): fc.Arbitrary<string | null> => fc.oneof(fc.constant(null), file, file)

const repository = fc
  .record({
    ".mcp.json": blankless(jsonFile),
    ".claude/settings.json": optional(jsonFile),
    ".codex/hooks.json": optional(jsonFile),
    ".codex/config.toml": optional(tomlFile),
    ".gemini/settings.json": optional(jsonFile),
    "opencode.json": optional(jsonFile),
    "CLAUDE.md": optional(proseFile),
    "AGENTS.md": optional(proseFile),
    "GEMINI.md": optional(proseFile),
    ".gemini/other": fc.option(fc.constant("kept")),
  })
  .map((files) => Object.fromEntries(Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== null)))
const kindsOf = fc.subarray([...AGENT_KINDS], { minLength: 1 })

describe("for any settings that were there", () => {
  test("init and then its undo leave every byte, mode and folder as it was; in between all that was there is there; a second init changes nothing", () => {
    fc.assert(
      fc.property(repository, kindsOf, fc.constantFrom(0o644, 0o600, 0o664), (files, kinds, mode) => {
        const top = worktree(files)
        for (const file of Object.keys(files)) chmodSync(join(top, file), mode)
        const before = tree(top)
        const done = init(top, kinds)
        expect(done.changed.length).toBeGreaterThan(0)
        for (const [file, text] of Object.entries(files)) {
          if (file.endsWith(".json") && text.trim() !== "" && !holds(read(at(top, file)), read(text)))
            throw new Error(`${file} lost something:\n${text}\n---\n${at(top, file)}`)
          if (file.endsWith(".toml") && !holds(parseToml(at(top, file)), parseToml(text))) throw new Error(`${file} lost something:\n${at(top, file)}`)
          if (file.endsWith(".md")) expect(at(top, file).startsWith(text.trim() === "" ? "" : text)).toBe(true)
          expect(at(top, file).match(/\/\/ (kept|last)|# mine/g)).toEqual(text.match(/\/\/ (kept|last)|# mine/g))
          expect(statSync(join(top, file)).mode & 0o777).toBe(mode)
        }
        expect(init(top, kinds, done)).toMatchObject({ changed: [], files: done.files })
        // Without its record as well: a clone of a repository that has it all.
        expect(init(top, kinds).changed).toEqual([])
        undo(top, done)
        expect(tree(top)).toEqual(before)
      }),
      { numRuns: 20 },
    )
  })

  test("what init writes is there, for each agent, where it looks for it", () => {
    fc.assert(
      fc.property(repository, kindsOf, (files, kinds) => {
        const top = worktree(files)
        init(top, kinds)
        for (const kind of kinds) {
          for (const edit of settingsOf(kind, { agent: kind, command: ["skein"] })) {
            const text = at(top, edit.file)
            if (edit.do === "write") expect(text).toBe(edit.text)
            else {
              const value = edit.at.reduce<unknown>(
                (inner, key) => (inner as Record<string, unknown>)[key],
                edit.format === "toml" ? parseToml(text) : read(text),
              )
              expect(
                edit.do === "include" ? (value as unknown[]).filter((item) => sameValue(item, edit.value)).length : sameValue(value, edit.value),
              ).toBeTruthy()
            }
          }
        }
      }),
      { numRuns: 20 },
    )
  })

  test("agents that are plugged in one after the other, and with another command, all go with one undo", () => {
    fc.assert(
      fc.property(repository, kindsOf, kindsOf, (files, first, second) => {
        const top = worktree(files)
        const before = tree(top)
        const done = init(top, second, init(top, first), ["node", "/opt/x y/skein.cjs"])
        undo(top, done)
        expect(tree(top)).toEqual(before)
      }),
      { numRuns: 20 },
    )
  })

  test("a file that its user changed since keeps the change, and loses all of Skein's", () => {
    fc.assert(
      fc.property(repository, (files) => {
        const top = worktree(files)
        const done = init(top)
        const own: Record<string, unknown> = {}
        for (const file of Object.keys(files).filter((name) => name.endsWith(".json"))) {
          const text = at(top, file)
          put(top, file, text.replace("{", '{"userAdded": [1],'))
          own[file] = { userAdded: [1], ...(read(files[file]?.trim() || "{}") as Record<string, unknown>) }
        }
        for (const file of ["CLAUDE.md", ".codex/config.toml"]) put(top, file, `# new first line\n${at(top, file)}`)
        undo(top, done)
        for (const [file, value] of Object.entries(own))
          if (!sameValue(read(at(top, file)), value)) throw new Error(`${file}:\n${at(top, file)}\n--- not\n${JSON.stringify(value)}`)
        expect(at(top, "CLAUDE.md").trimEnd()).toBe(`# new first line\n${files["CLAUDE.md"] ?? ""}`.trimEnd())
        expect(sameValue(parseToml(at(top, ".codex/config.toml")), parseToml(files[".codex/config.toml"] ?? ""))).toBe(true)
      }),
      { numRuns: 20 },
    )
  })
})

test("a file that init made, and that an agent put its schema into, goes; one with a setting of its user's stays", () => {
  const top = worktree()
  const done = init(top, ["opencode", "gemini"])
  put(top, "opencode.json", at(top, "opencode.json").replace("{", '{\n  "$schema": "https://opencode.ai/config.json",'))
  put(top, ".gemini/settings.json", at(top, ".gemini/settings.json").replace("{", '{\n  "theme": "dark",'))
  undo(top, done)
  expect(Object.keys(tree(top))).toEqual([".gemini", ".gemini/settings.json"])
  expect(at(top, ".gemini/settings.json")).toBe('{\n  "theme": "dark"\n}\n')
})

describe("formatting stays", () => {
  test("settings with comments and tabs get lines like their own", () => {
    const top = worktree({ ".gemini/settings.json": '{\n\t// dark is easier\n\t"theme": "dark", // really\n}\n' })
    init(top, ["gemini"])
    expect(at(top, ".gemini/settings.json")).toMatch(
      /^\{\n\t\/\/ dark is easier\n\t"theme": "dark", \/\/ really\n\t"mcpServers": \{\n\t\t"skein": \{\n\t\t\t"command": "skein",/,
    )
  })

  test("a file of one line stays one line", () => {
    const top = worktree({ "opencode.json": '{"model":"x"}' })
    init(top, ["opencode"])
    expect(at(top, "opencode.json")).toBe('{"model":"x", "mcp": {"skein":{"type":"local","command":["skein","mcp","--agent","opencode"],"enabled":true}}}')
  })

  test("a paragraph that its user moved is renewed where it stands", () => {
    const top = worktree({ "CLAUDE.md": `${PARAGRAPH_MARKS.begin}\nold\n${PARAGRAPH_MARKS.end}\n\n# Mine\n` })
    init(top, ["claude"])
    expect(at(top, "CLAUDE.md")).toMatch(/^<!-- skein:begin[\s\S]*Working in a team[\s\S]*<!-- skein:end -->\n\n# Mine\n$/)
  })

  test("CLAUDE.md that is a link to AGENTS.md gets one paragraph", () => {
    const top = worktree({ "AGENTS.md": "# Mine\n" })
    symlinkSync("AGENTS.md", join(top, "CLAUDE.md"))
    const before = tree(top)
    const done = init(top, ["claude", "codex"])
    expect(at(top, "AGENTS.md").match(/skein:begin/g)).toHaveLength(1)
    undo(top, done)
    expect(tree(top)).toEqual(before)
  })
})

describe("what stays untouched, with the place and the remedy", () => {
  const refused = (files: Record<string, string>, kind: AgentKind, prepare: (top: string) => void = () => undefined): unknown => {
    const top = worktree(files)
    prepare(top)
    const before = tree(top)
    let told: unknown = null
    try {
      init(top, [kind])
    } catch (error) {
      told = error
    }
    expect(tree(top)).toEqual(before)
    return told
  }

  test.each([
    ["no JSON", { ".mcp.json": '{\n  "a": }\n' }, "claude", "settings_unreadable", ".mcp.json:2:8: this is no JSON: value expected"],
    ["a JSON list", { "opencode.json": "[]" }, "opencode", "settings_unreadable", "opencode.json:1:1: this is no JSON object"],
    [
      "hooks that are no list",
      { ".claude/settings.json": '{"hooks":{"Stop":{}}}' },
      "claude",
      "settings_unreadable",
      ".claude/settings.json:1:18: hooks.Stop is no list",
    ],
    ["servers that are no object", { ".mcp.json": '{"mcpServers":1}' }, "claude", "settings_unreadable", ".mcp.json:1:15"],
    [
      "a key twice",
      { ".mcp.json": '{"mcpServers":{},\n "mcpServers":{}}' },
      "claude",
      "settings_unreadable",
      '.mcp.json:2:2: the key "mcpServers" is here a second time',
    ],
    ["no TOML", { ".codex/config.toml": 'a = 1\nb = "\n' }, "codex", "settings_unreadable", ".codex/config.toml:2:6: this is no TOML"],
    ["marks that do not pair", { "AGENTS.md": `x\n${PARAGRAPH_MARKS.begin}\n` }, "codex", "settings_unreadable", "AGENTS.md:2:1: the marks"],
    [
      "a server of that name",
      { ".mcp.json": '{\n "mcpServers": {\n  "skein": {"type":"http","url":"http://x/mcp"}}}' },
      "claude",
      "settings_taken",
      ".mcp.json:3:12: mcpServers.skein is there already",
    ],
    [
      "a TOML table of that name",
      { ".codex/config.toml": '[mcp_servers.skein]\nurl = "x"\n' },
      "codex",
      "settings_taken",
      ".codex/config.toml:1: [mcp_servers.skein] is there already",
    ],
    [
      "an inline TOML table",
      { ".codex/config.toml": 'x = 1\nmcp_servers = { a = { command = "b" } }\n' },
      "codex",
      "settings_taken",
      ".codex/config.toml:2: [mcp_servers.skein]",
    ],
    [
      "a plugin of that name",
      { ".opencode/plugins/skein.js": "export const Mine = 1\n" },
      "opencode",
      "settings_taken",
      ".opencode/plugins/skein.js is there already",
    ],
    ["a file that is a folder", { "CLAUDE.md/x": "" }, "claude", "settings_unwritable", "CLAUDE.md: this is no regular file"],
    ["a folder that is a file", { ".claude": "" }, "claude", "settings_unwritable", ".claude/settings.json: .claude is no folder"],
  ] as [string, Record<string, string>, AgentKind, string, string][])("%s", (_, files, kind, code, message) => {
    expect(refused(files, kind)).toMatchObject({ code, message: expect.stringContaining(message), remedy: expect.stringMatching(/./) })
  })

  test.each([
    ["a link out of the repository", (top: string) => symlinkSync(worktree({ "x.json": "{}" }) + "/x.json", join(top, ".mcp.json")), "settings_outside"],
    ["a folder that is a link out of it", (top: string) => symlinkSync(worktree(), join(top, ".claude")), "settings_outside"],
    ["a link into the git directory", (top: string) => (put(top, ".git/config", ""), symlinkSync(".git/config", join(top, ".mcp.json"))), "settings_outside"],
    ["a link to nowhere", (top: string) => symlinkSync("nowhere", join(top, ".mcp.json")), "settings_outside"],
    ["a read-only file", (top: string) => (put(top, ".mcp.json", "{}"), chmodSync(join(top, ".mcp.json"), 0o444)), "settings_unwritable"],
    ["bytes that are no UTF-8", (top: string) => writeFileSync(join(top, ".mcp.json"), Buffer.from([0x7b, 0xff, 0x7d])), "settings_unreadable"],
  ] as [string, (top: string) => void, string][])("%s", (_, prepare, code) => {
    expect(refused({}, "claude", prepare)).toMatchObject({ code, message: expect.stringMatching(/^\.(mcp\.json|claude\/settings\.json): /) })
  })

  test("a group of hooks in which its user put another hook is the user's", () => {
    const mixed = {
      matcher: "Edit",
      hooks: [
        { type: "command", command: "skein hook claude PreToolUse" },
        { type: "command", command: "mine" },
      ],
    }
    const top = worktree({ ".claude/settings.json": JSON.stringify({ hooks: { PreToolUse: [mixed] } }, null, 2) })
    init(top, ["claude"])
    expect(read(at(top, ".claude/settings.json"))).toMatchObject({ hooks: { PreToolUse: [mixed, { matcher: expect.stringContaining("Edit|Write") }] } })
  })
})

test("instructions that end in half a line end get the paragraph once, in one form", () => {
  const top = worktree({ "AGENTS.md": "# Title\r" })
  const done = init(top, ["codex"])
  expect(init(top, ["codex"], done).changed).toEqual([])
  undo(top, done)
  expect(at(top, "AGENTS.md")).toBe("# Title\r")
})
