import { Command, InvalidArgumentError } from "commander"
import { isName } from "../core/ids.ts"
import type { HubConnection } from "./connection.ts"
import { UsageError } from "./failure.ts"
import { findInstance, type Instance } from "./instance.ts"
import { parseDuration, parseMoment, parseUsd, showDuration } from "./quantity.ts"
import { Terminal } from "./terminal.ts"

/** What may be said with any verb. */
export type GlobalOptions = { json?: boolean; workspace?: string; repo?: string; global?: boolean; url?: string; color?: boolean }

/** What a verb acts with: the terminal, and on demand the instance and the hub. */
export class Context {
  readonly options: GlobalOptions
  readonly terminal: Terminal
  #connection: HubConnection | null = null

  constructor(options: GlobalOptions) {
    this.options = options
    this.terminal = new Terminal({ json: options.json === true, colour: options.color !== false })
  }

  /** The workspace that is meant. Throws `UsageError` on what can name none. */
  get workspace(): string {
    return namedWorkspace(this.options) ?? "main"
  }

  /** The instance that the call stands in. Throws `UsageError` outside of any repository. */
  instance(): Instance {
    return findInstance(this.options.repo ?? process.cwd(), this.options.global === true)
  }

  /** The running hub. Throws `SkeinError` `hub_unreachable` where none answers. */
  async hub(): Promise<HubConnection> {
    if (this.#connection === null) {
      const { connectHub } = await import("./connection.ts")
      this.#connection = connectHub(this.options, () => this.instance())
    }
    return this.#connection
  }

  async close(): Promise<void> {
    await this.#connection?.close()
  }
}

/** The workspace that the call or its environment names, or undefined. It becomes a part of paths and of requests: throws `UsageError` on what can name none. */
export function namedWorkspace({ workspace }: GlobalOptions): string | undefined {
  const named = workspace ?? (process.env["SKEIN_WORKSPACE"] || undefined)
  if (named === undefined || isName(named)) return named
  throw new UsageError(
    `${workspace === undefined ? "SKEIN_WORKSPACE" : "--workspace"} is ${JSON.stringify(named.slice(0, 80))}, which can name no workspace`,
    "Use 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit; skein workspace list shows those that are there.",
  )
}

/** Makes a commander action of a verb: its arguments and options as commander parsed them, with the context before them. */
export function act<Args extends unknown[]>(run: (context: Context, ...args: Args) => Promise<void>): (...args: [...Args, Command]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command
    const context = new Context(command.optsWithGlobals<GlobalOptions>())
    try {
      await run(context, ...(args.slice(0, -1) as Args))
    } finally {
      await context.close()
    }
  }
}

/** The help of a verb ends with examples: each a command line and what it does. */
export function examples(...rows: [string, string][]): string {
  return `\nExamples:\n${rows.map(([command, what]) => `  $ ${command}\n      ${what}`).join("\n")}\n`
}

// What options are parsed with: each throws what commander shows as a usage error, exit status 2.

export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (!/^-?\d+$/.test(text) || value < min || value > max) throw new InvalidArgumentError(`Write a whole number from ${min} to ${max}.`)
    return value
  }
}

export function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === "" || !(value >= min && value <= max)) throw new InvalidArgumentError(`Write a number from ${min} to ${max}.`)
    return value
  }
}

/** `250ms`, `20s`, `1.5h` or `90m`, from `min` to `max`, in milliseconds. */
export function duration(min = 0, max = Infinity): (text: string) => number {
  return (text) => {
    const ms = parseDuration(text)
    if (typeof ms !== "number") throw new InvalidArgumentError(`It ${ms.wrong}. ${ms.remedy}`)
    if (ms < min || ms > max)
      throw new InvalidArgumentError(`Write ${max === Infinity ? `${min} ms or more` : `from ${showDuration(min)} to ${showDuration(max)}`}.`)
    return ms
  }
}

/** A moment as people write it, in milliseconds since 1970. */
export function moment(text: string): number {
  const ms = parseMoment(text, Date.now())
  if (typeof ms !== "number") throw new InvalidArgumentError(`It ${ms.wrong}. ${ms.remedy}`)
  return ms
}

/** US dollars, in millionths. */
export function usd(text: string): number {
  const micro = parseUsd(text.trim() === "" ? Number.NaN : Number(text))
  if (typeof micro !== "number") throw new InvalidArgumentError(`It ${micro.wrong}. ${micro.remedy}`)
  return micro
}

/** A repeatable option: every value given, in order. */
export function collect<Item>(parse: (text: string) => Item): (text: string, before?: Item[]) => Item[] {
  return Object.assign((text: string, before: Item[] = []) => [...before, parse(text)], { words: wordsOf(parse) })
}

export function oneOf<Word extends string>(words: readonly Word[]): (text: string) => Word {
  const parse = (text: string): Word => {
    const found = words.find((word) => word === text)
    if (found === undefined) throw new InvalidArgumentError(`Write one of ${words.join(", ")}.`)
    return found
  }
  return Object.assign(parse, { words })
}

/** The words that what was made by `oneOf` takes, for whoever completes command lines; none of another. */
export function wordsOf(parse: unknown): readonly string[] {
  return (parse as Partial<{ words: readonly string[] }> | undefined)?.words ?? []
}

export const asText = (text: string): string => text
