import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, test } from "vitest"
import { anyUnit } from "../../test/any-unit.ts"
import { decideAddPlan } from "../core/plan.ts"
import { Workspace } from "../core/workspace.ts"
import type { FaultCode } from "./plan-document.ts"
import { FAULTS_MAX, parsePlanFile, type PlanFile } from "./plan-file.ts"

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)

function parse(text: string): PlanFile {
  const result = parsePlanFile(encode(text))
  if ("faults" in result) throw new Error(result.faults.map(({ line, column, message }) => `${line}:${column} ${message}`).join("\n"))
  return result.ok
}

/** `§` marks where a fault is expected. Gives the text without the marks, and their lines and columns. */
function marked(text: string): { text: string; places: { line: number; column: number }[] } {
  const places: { line: number; column: number }[] = []
  const lines = text.split("\n").map((line, at) => {
    for (let column = line.indexOf("§"); column !== -1; column = line.indexOf("§")) {
      places.push({ line: at + 1, column: column + 1 })
      line = line.replace("§", "")
    }
    return line
  })
  return { text: lines.join("\n"), places }
}

const task = (rest: string): string => `plan: p\ntasks:\n  - id: a\n    title: A\n${rest}`
const two = (rest: string): string => `plan: p\ntasks:\n  - id: a\n    title: A\n  - id: b\n    title: B\n${rest}`

/** Wrong files: what is wrong, the codes in the order of the marks, the text, and a word that the remedy must hold. */
const WRONG: [string, FaultCode[], string, RegExp?][] = [
  ["an empty file", ["empty"], "§", /plan: NAME/],
  ["white space alone", ["empty"], "§\n\n  \n"],
  ["comments alone", ["empty"], "§# nothing yet\n"],
  ["a list instead of a plan", ["wrong_type"], "§- a\n- b\n"],
  ["plain text", ["wrong_type"], "§hello\n"],
  ["no plan name and no tasks", ["missing_key", "missing_key"], "§§title: T\n"],
  ["an unclosed bracket", ["syntax"], "plan: p\ntasks: [{ id: a, title: A }\n§"],
  ["a tab as indentation", ["syntax"], "plan: p\ntasks:\n§\t- id: a\n"],
  ["two documents", ["many_documents"], `${task("")}§---\nplan: q\n`, /one file/],
  ["a tag of another program", ["tag"], `plan: §!ruby/object p\ntasks:\n  - { id: a, title: A }\n`],
  ["an unknown key at the top", ["unknown_key"], `plan: p\n§task: []\ntasks:\n  - { id: a, title: A }\n`, /Did you mean "tasks"/],
  ["an unknown key of a task", ["unknown_key"], task("    §depends_on: []\n"), /Did you mean "dependsOn"/],
  ["an unknown key of an agent", ["unknown_key"], `${task("")}agents:\n  - name: x\n    §capabilites: {}\n`, /Did you mean "capabilities"/],
  ["a merge key, which YAML 1.2 has not", ["unknown_key"], `plan: p\ntasks:\n  - &one { id: a, title: A }\n  - { §<<: *one, id: b, title: B }\n`],
  ["the same key twice", ["duplicate_key"], task("    §title: Again\n"), /Keep one/],
  ["the same skill twice", ["duplicate_key"], task("    requires: { docs: 1, §docs: 2 }\n")],
  ["a key that is a list", ["wrong_type"], "plan: p\n§[x]: 1\ntasks:\n  - { id: a, title: A }\n"],
  ["tasks that are a map", ["wrong_type"], "plan: p\ntasks:\n  §a: { title: A }\n", /list/],
  ["no tasks", ["wrong_value"], "plan: p\ntasks: §[]\n"],
  ["a task that is text", ["wrong_type"], "plan: p\ntasks:\n  - §a\n"],
  ["a title that is a number", ["wrong_type"], "plan: p\ntasks:\n  - { id: a, title: §12 }\n", /"12"/],
  ["a title that is missing", ["missing_key"], "plan: p\ntasks:\n  - §id: a\n", /title/],
  ["a title left empty", ["wrong_type"], "plan: p\ntasks:\n  - id: a\n    title:§\n"],
  ["a truth value in quotes", ["wrong_type"], task('    filler: §"true"\n'), /without quotes/],
  ["yes for true, which YAML 1.2 has not", ["wrong_type"], task("    review: §yes\n"), /true or false/],
  ["a number in quotes", ["wrong_type"], task('    maxAttempts: §"3"\n')],
  ["a negative number", ["out_of_range"], task("    maxAttempts: §-1\n"), /from 1/],
  ["a fraction where a whole number belongs", ["out_of_range"], task("    maxAttempts: §1.5\n")],
  ["a negative amount", ["out_of_range"], task("    budgetUsd: §-3\n")],
  ["an infinite amount", ["out_of_range"], task("    budgetUsd: §.inf\n")],
  ["an amount with its sign", ["wrong_type"], task("    budgetUsd: §$3\n"), /without \$/],
  ["a negative duration", ["out_of_range"], task("    estimate: §-5m\n")],
  ["a duration without a unit", ["wrong_unit"], task("    estimate: §90\n"), /90m/],
  ["a duration of unknown unit", ["wrong_unit"], task("    estimate: §2d\n"), /90m/],
  ["a duration that is none", ["wrong_unit"], task("    estimate: §soon\n")],
  ["a duration finer than a millisecond", ["wrong_unit"], task("    estimate: §0.5ms\n")],
  ["a lease longer than an hour", ["out_of_range"], task("    lease: §2h\n"), /3600000/],
  ["a level over 5", ["out_of_range"], task("    requires: { docs: §6 }\n"), /1 to 5/],
  ["skills as a list", ["wrong_type"], task("    requires: §[docs]\n"), /docs: 1/],
  ["an unknown priority", ["wrong_value"], task("    priority: §hihg\n"), /Did you mean "high"/],
  ["a name with a space", ["wrong_name"], "plan: §my plan\ntasks:\n  - { id: a, title: A }\n", /A-Z/],
  ["an id with a slash", ["wrong_name"], "plan: p\ntasks:\n  - { id: §a/b, title: A }\n"],
  ["an agent called hub", ["wrong_name"], `${task("")}agents: [{ name: §hub }]\n`],
  ["an agent that would rule", ["wrong_value"], `${task("")}agents: [{ name: x, role: §operator }]\n`],
  ["two tasks of one id", ["duplicate_id"], "plan: p\ntasks:\n  - { id: a, title: A }\n  - §{ id: a, title: B }\n"],
  ["two agents of one name", ["duplicate_id"], `${task("")}agents: [{ name: x }, { name: §x }]\n`],
  ["a dependency named twice", ["duplicate_id"], two("    dependsOn: [a, §a]\n")],
  ["an unknown dependency", ["unknown_dependency"], two("    dependsOn: [§greting]\n").replace("id: a", "id: greeting"), /Did you mean "greeting"/],
  ["a task that waits for itself", ["cycle"], task("    dependsOn: [§a]\n")],
  ["a circle of two", ["cycle"], `plan: p\ntasks:\n  - { id: a, title: A, dependsOn: [b] }\n  - { id: b, title: B, dependsOn: [§a] }\n`],
  ["two circles", ["cycle", "cycle"], `plan: p\ntasks:\n  - { id: a, title: A, dependsOn: [§a] }\n  - { id: b, title: B, dependsOn: [§b] }\n`],
  ["a report that is no task", ["unknown_dependency"], `${task("")}report: §end\n`],
  ["a control character in a title", ["control_character"], 'plan: p\ntasks:\n  - { id: a, title: §"A\\u001b[2J" }\n', /terminal/],
  ["a line break in a title", ["control_character"], 'plan: p\ntasks:\n  - { id: a, title: §"A\\nB" }\n'],
  ["half of a character in a title", ["control_character"], 'plan: p\ntasks:\n  - { id: a, title: §"A\\ud83d" }\n', /whole character/],
  ["half of a character in a variable", ["control_character"], task('    env: { A: §"\\udc00" }\n'), /whole character/],
  ["an override of direction in a title", ["control_character"], "plan: p\ntasks:\n  - { id: a, title: §A\u202eB }\n"],
  ["a bell in a command", ["control_character"], task('    run: §"echo \\u0007"\n')],
  ["a glob above the root", ["path_traversal"], task("    touches: [src/**, §../other/**]\n"), /root/],
  ["a glob with a way up in it", ["path_traversal"], task("    touches: [§src/../../x]\n")],
  ["an absolute glob", ["path_traversal"], task("    touches: [§/etc/passwd]\n")],
  ["a glob of a Windows drive", ["path_traversal"], task("    touches: [§'C:\\x']\n")],
  ["a run that says nothing", ["wrong_value"], task("    run: §{ costUsd: 3 }\n"), /argv/],
  ["a run that says two things", ["wrong_value"], task("    run: §{ argv: [ls], standIn: 1s }\n")],
  ["a run without a program", ["wrong_value"], task("    run: { argv: §[] }\n")],
  ["a variable that is a number", ["wrong_type"], task("    env: { PORT: §8080 }\n"), /"8080"/],
  ["a variable of no name", ["wrong_name"], task('    env: { "A B": §x }\n')],
  ["a variable that is Skein's own", ["wrong_name"], task("    env: { SKEIN_URL: §x }\n")],
  ["an alias without an anchor", ["alias"], task("    requires: §*nothing\n"), /&nothing/],
  ["a title that is too long", ["too_large"], `plan: p\ntasks:\n  - id: a\n    title: §${"x".repeat(301)}\n`],
  ["too many dependencies", ["too_many"], task(`    dependsOn: [${Array.from({ length: 400 }, (_, at) => `t${at}`).join(", ")}, §one-more]\n`)],
]

describe("a wrong plan file", () => {
  test.each(WRONG)("%s is told with its code, line, column and remedy", (_, codes, source, remedy = /./) => {
    const { text, places } = marked(source)
    const result = parsePlanFile(encode(text))
    if ("ok" in result) throw new Error("it passed")
    expect(result.faults.map(({ code, line, column }) => ({ code, line, column }))).toEqual(codes.map((code, at) => ({ code, ...places[at] })))
    for (const fault of result.faults) expect(fault.remedy).not.toBe("")
    expect(result.faults[0]?.remedy).toMatch(remedy)
  })

  test("all faults are told at once, in the order of the file", () => {
    const { text, places } = marked(`plan: §my plan
§titel: X
maxActiveAgents: §0
tasks:
  - id: a
    title: A
    estimate: §5
    dependsOn: [§zz]
  - §{ id: a, title: B, priority: §urgent }
`)
    const result = parsePlanFile(encode(text))
    expect("faults" in result && result.faults.map(({ line, column }) => ({ line, column }))).toEqual(places)
  })

  test("a circle is told with the path that makes it", () => {
    const text = `plan: p\ntasks:\n${["c", "a", "b"].map((id, at) => `  - { id: ${"abc"[at]}, title: T, dependsOn: [${id}] }`).join("\n")}\n`
    expect(parsePlanFile(encode(text))).toMatchObject({ faults: [{ code: "cycle", message: expect.stringContaining("a -> c -> b -> a") as string }] })
  })

  test("bytes that are no UTF-8 are told with their place", () => {
    const bytes = Buffer.concat([Buffer.from("plan: p\n# caf"), Buffer.from([0xe9]), Buffer.from("\ntasks: []\n")])
    expect(parsePlanFile(bytes)).toMatchObject({ faults: [{ code: "not_utf8", line: 2, column: 6 }] })
  })

  test("UTF-16 is told as such, a byte order mark before UTF-8 is let be", () => {
    expect(parsePlanFile(Buffer.from("\ufeffplan: p", "utf16le"))).toMatchObject({
      faults: [{ code: "not_utf8", message: expect.stringContaining("UTF-16") as string }],
    })
    expect(parse(`\ufeff${task("")}`).plan.name).toBe("p")
  })

  test("a file over 8 MiB is not even read", () => {
    expect(parsePlanFile(new Uint8Array(8 * 1024 * 1024 + 1).fill(0x20))).toMatchObject({ faults: [{ code: "too_large" }] })
  })

  test("a YAML bomb is told, and costs no time", () => {
    // Nine levels of nine: 387 million values where somebody expands them.
    const levels = Array.from({ length: 9 }, (_, at) => `l${at}: &l${at} [${Array.from({ length: 9 }, () => (at === 0 ? "x" : `*l${at - 1}`)).join(", ")}]`)
    expect(parsePlanFile(encode(`${levels.join("\n")}\nplan: p\ntasks: *l8\n`))).toHaveProperty("faults")
    const dependsOn = `&d [${Array.from({ length: 400 }, (_, at) => `t${at}`).join(", ")}]`
    const leaves = Array.from({ length: 400 }, (_, at) => `  - { id: t${at}, title: A }`)
    const wide = [
      "plan: p",
      "tasks:",
      ...leaves,
      `  - { id: a, title: A, dependsOn: ${dependsOn} }`,
      ...Array.from({ length: 2_000 }, (_, at) => `  - { id: x${at}, title: A, dependsOn: *d }`),
    ]
    const result = parsePlanFile(encode(wide.join("\n")))
    expect("faults" in result && result.faults.map(({ code }) => code)).toEqual(["alias_expansion"])
  })

  test("an anchor that holds itself is told, and ends", () => {
    expect(parsePlanFile(encode("plan: p\ntasks: &t\n  - *t\n"))).toMatchObject({ faults: [{ code: "wrong_type", line: 3, column: 5 }] })
  })

  test("100,000 nested brackets are told, not followed", () => {
    for (const deep of ["[", "- ", "{a: ", "? "]) expect(parsePlanFile(encode(deep.repeat(100_000)))).toHaveProperty("faults")
  })

  test("more than 100,000 tasks are refused at the first that is too many", () => {
    expect(parsePlanFile(encode(`plan: p\ntasks:\n${"- t\n".repeat(100_001)}`))).toMatchObject({ faults: [{ code: "too_many", line: 100_003, column: 3 }] })
  })

  test(`at most ${FAULTS_MAX} faults are told`, () => {
    const rows = Array.from({ length: 500 }, (_, at) => `  - { id: t${at}, title: ${at} }`)
    const result = parsePlanFile(encode(`plan: p\ntasks:\n${rows.join("\n")}\n`))
    expect("faults" in result && result.faults.length).toBe(FAULTS_MAX)
  })

  test("whatever the bytes, the answer is a plan or faults, never an exception", () => {
    const pieces = [
      "plan: p\n",
      "tasks:\n",
      "  - id: a\n",
      "    title: A\n",
      "&x ",
      "*x",
      "[",
      "]",
      "{",
      "}",
      "- ",
      "? ",
      ": ",
      "|\n",
      ">\n",
      "'",
      '"',
      "\t",
      "---\n",
      "...\n",
      "%YAML 1.1\n",
      "!!map ",
      "#",
      "\u0000",
      "\ufffe",
      "🦢",
    ]
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...pieces), fc.string({ unit: anyUnit, maxLength: 8 })), { maxLength: 40, size: "max" }), (parts) => {
        const result = parsePlanFile(encode(parts.join("")))
        if ("faults" in result) expect(result.faults.length).toBeGreaterThan(0)
      }),
      { numRuns: 500 },
    )
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200, size: "max" }), (bytes) => void parsePlanFile(bytes)),
      { numRuns: 300 },
    )
  })
})

describe("a sound plan file", () => {
  test("every field is read into what the hub takes", () => {
    const text = `plan: release
title: Release
worktrees: true
maxActiveAgents: 2
budgetUsd: 12.5
report: notes
figures: { criticalPath: 10.5h, oneAgent: 37h }
agents:
  - { name: goose, kind: script, role: worker, capabilities: { docs: 3 }, start: false, maxActive: 2, model: large, account: team, costPerHourUsd: 15, heartbeatMs: 2000 }
tasks:
  - id: build
    title: Build
    body: "Two\\nlines"
    priority: high
    requires: { docs: 1 }
    budgetUsd: 0.000001
    touches: [src/**, "*.md"]
    run: { argv: [make, all, ""] }
    env: { LEVEL: "3", EMPTY: "" }
    estimate: 1.5h
    prefers: goose
    model: small
    account: team
    gates: [make test]
    review: true
    lease: 90s
    maxAttempts: 2
    labels: [core]
  - { id: notes, title: Notes, dependsOn: [build], filler: false, run: { standIn: 250ms, costUsd: 22.5 } }
`
    const { plan, report, figures } = parse(text)
    expect({ report, figures }).toEqual({
      report: "notes",
      figures: { criticalPathMs: 37_800_000, oneAgentMs: 133_200_000, bestKnownMs: null, lowerBoundMs: null },
    })
    expect(plan).toEqual({
      name: "release",
      title: "Release",
      digest: createHash("sha256").update(text).digest("hex"),
      commit: null,
      worktrees: true,
      maxActiveAgents: 2,
      budgetMicroUsd: 12_500_000,
      agents: [
        {
          name: "goose",
          start: false,
          kind: "script",
          role: "worker",
          capabilities: { docs: 3 },
          maxActive: 2,
          model: "large",
          account: "team",
          costPerHourMicroUsd: 15_000_000,
          heartbeatMs: 2_000,
        },
      ],
      tasks: [
        {
          id: "build",
          title: "Build",
          body: "Two\nlines",
          priority: "high",
          requires: { docs: 1 },
          budgetMicroUsd: 1,
          touches: ["src/**", "*.md"],
          run: { argv: ["make", "all", ""] },
          env: { LEVEL: "3", EMPTY: "" },
          estimateMs: 5_400_000,
          prefers: "goose",
          model: "small",
          account: "team",
          gates: ["make test"],
          review: true,
          leaseMs: 90_000,
          maxAttempts: 2,
          labels: ["core"],
        },
        { id: "notes", title: "Notes", dependsOn: ["build"], filler: false, run: { standIn: { ms: 250, costMicroUsd: 22_500_000 } } },
      ],
    })
  })

  test("JSON, with tabs too, is read as the YAML that it is", () => {
    const plan = { plan: "p", tasks: [{ id: "a", title: "A", run: "echo \u00e9" }] }
    for (const space of [0, 2, "\t"])
      expect(parse(JSON.stringify(plan, null, space)).plan.tasks).toEqual([{ id: "a", title: "A", run: { command: "echo \u00e9" } }])
  })

  test("anchors and aliases are read as what they stand for", () => {
    const { plan } = parse("plan: p\ntasks:\n  - { id: a, title: A, requires: &needs { docs: 2 } }\n  - { id: b, title: B, requires: *needs }\n")
    expect(plan.tasks[1]?.requires).toEqual({ docs: 2 })
  })

  test("a plan without agents gets one that can do everything in it", () => {
    const { plan } = parse(two("    requires: { docs: 2, node: 1 }\n"))
    expect(plan.agents).toEqual([{ name: "p-agent", start: true, kind: "script", capabilities: { docs: 2, node: 1 } }])
  })

  test("what nobody of the plan can do, and an unknown favourite, are warned of and allowed", () => {
    const { warnings } = parse(`${task("    requires: { docs: 3 }\n    prefers: gose\n")}agents: [{ name: goose, capabilities: { docs: 2 } }]\n`)
    expect(warnings).toMatchObject([
      { code: "nobody_fits", line: 3 },
      { code: "unknown_agent", remedy: expect.stringContaining("goose") as string },
    ])
  })

  test.each(["hello", "repository-check", "phase-zero"])("examples/%s.yaml is sound, and the hub's own check agrees", (name) => {
    const { plan, warnings } = parse(readFileSync(`examples/${name}.yaml`, "utf8"))
    expect(warnings).toEqual([])
    expect(decideAddPlan(new Workspace(), plan)).toBeInstanceOf(Array)
  })

  test("10,000 tasks in a chain are read within two seconds of processor time", () => {
    const rows = Array.from({ length: 10_000 }, (_, at) => `  - { id: t${at}, title: Task ${at}, dependsOn: [${at === 0 ? "" : `t${at - 1}`}] }`)
    const before = process.threadCpuUsage()
    expect(parse(`plan: p\ntasks:\n${rows.join("\n")}\n`).plan.tasks.length).toBe(10_000)
    const { user, system } = process.threadCpuUsage(before)
    expect((user + system) / 1_000).toBeLessThan(2_000)
  })
})
