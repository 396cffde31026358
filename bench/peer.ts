import { spawnSync } from "node:child_process"
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { delimiter, join } from "node:path"
import { Skipped } from "./engine.ts"

/** What the bench uses of the peers' clients. They are installed beside the package, so their own types are not there. */
export type IoRedis = {
  ping(): Promise<string>
  on(event: string, call: (...args: string[]) => void): void
  defineCommand(name: string, definition: { numberOfKeys: number; lua: string }): void
  claim(...args: string[]): Promise<[string, number] | null>
  claimSeveral(...args: string[]): Promise<[string, number][]>
  pipeline(): Pipeline
  subscribe(channel: string): Promise<unknown>
  keys(pattern: string): Promise<string[]>
  flushall(): Promise<unknown>
  disconnect(): void
}
type Pipeline = {
  hset(key: string, field: string, value: string): Pipeline
  hget(key: string, field: string): Pipeline
  zadd(key: string, score: number, member: string): Pipeline
  exec(): Promise<[Error | null, unknown][] | null>
}
export type PgClient = {
  connect(): Promise<void>
  query(query: string | { name: string; text: string; values: unknown[] }, values?: unknown[]): Promise<{ rows: Record<string, string>[] }>
  on(event: string, call: (argument: unknown) => void): void
  end(): Promise<void>
}
type Connection = { host: string; port: number; maxRetriesPerRequest: null }
type Closable = { waitUntilReady(): Promise<unknown>; close(force?: boolean): Promise<void> }
type Bullmq = {
  Queue: new (
    name: string,
    options: { connection: Connection },
  ) => Closable & {
    addBulk(jobs: { name: string; data: unknown; opts: { jobId: string } }[]): Promise<unknown>
    obliterate(options: { force: boolean }): Promise<void>
  }
  QueueEvents: new (name: string, options: { connection: Connection }) => Closable & { on(event: "active", call: (event: { jobId: string }) => void): void }
  Worker: new (
    name: string,
    process: null,
    options: { connection: Connection; autorun: boolean; lockDuration: number; skipStalledCheck: boolean; skipLockRenewal: boolean },
  ) => Closable & { getNextJob(token: string, options: { block: boolean }): Promise<{ id?: string } | undefined> }
}
/** A matcher for one glob, compiled once. */
export type Picomatch = (glob: string, options?: { dot: boolean }) => (path: string) => boolean
/** As much of CASL as the bench uses. */
export type Casl = {
  AbilityBuilder: new (make: unknown) => {
    can(action: string, subject: string, conditions?: object): unknown
    cannot(action: string, subject: string, conditions?: object): unknown
    build(): { can(action: string, subject: object): boolean }
  }
  createMongoAbility: unknown
  subject(type: string, of: object): object
}
type Modules = {
  "@casl/ability": Casl
  picomatch: Picomatch
  ioredis: { Redis: new (options: object) => IoRedis }
  pg: { Client: new (options: object) => PgClient }
  bullmq: Bullmq
}

export const REMEDY = "Install the peers' servers (Debian, as root): sh bench/peers/debian.sh"
const SOURCE = join(import.meta.dirname, "peers")
const INSTALLED = join(import.meta.dirname, "..", ".cache", "bench-peers")

/** A peer's client, from the directory that `installClients` filled. */
export function load<Name extends keyof Modules>(name: Name): Modules[Name] {
  return createRequire(join(INSTALLED, "package.json"))(name) as Modules[Name]
}

/** Where a peer's server is: in one of these places, else on the path. Throws `Skipped` where it is in none. */
export function requireProgram(name: string, places: readonly string[]): string {
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "")
  const found = [...places, ...path.map((folder) => join(folder, name))].find((place) => existsSync(place))
  if (found === undefined) throw new Skipped(`${name} is not installed`, REMEDY)
  return found
}

/** Installs the peers' clients once, outside the package. Throws `Skipped` where that fails. */
export function installClients(): void {
  const wanted = readFileSync(join(SOURCE, "package-lock.json"), "utf8")
  // Written last: who was interrupted on the way there begins anew.
  const complete = join(INSTALLED, "complete")
  if (existsSync(complete) && readFileSync(complete, "utf8") === wanted) return
  process.stderr.write("bench: installing the peers' clients into .cache/bench-peers (once)\n")
  rmSync(INSTALLED, { recursive: true, force: true })
  mkdirSync(INSTALLED, { recursive: true })
  cpSync(SOURCE, INSTALLED, { recursive: true })
  // Not `npm ci`: it refuses lockfiles that lack the optional native parts of other platforms, which are left out anyway.
  const done = spawnSync("npm", ["install", "--no-save", "--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: INSTALLED,
    encoding: "utf8",
  })
  if (done.status !== 0)
    throw new Skipped(
      `npm could not install the peers' clients: ${(done.error?.message ?? done.stderr).trim().split("\n")[0]}`,
      "Run it again with a package registry in reach.",
    )
  writeFileSync(complete, wanted)
}
