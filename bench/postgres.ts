import { spawn, spawnSync } from "node:child_process"
import { chownSync, mkdirSync } from "node:fs"
import { readdirSync } from "node:fs"
import { join } from "node:path"
import { endLater } from "./child.ts"
import { type Address, type Claim, type Driver, type Engine, Skipped } from "./engine.ts"
import { load, type PgClient, REMEDY, requireProgram } from "./peer.ts"
import { freePort, sleep } from "./scratch.ts"

/** Postgres with the settings it comes with: every commit is synced. */
export async function startPostgres(directory: string): Promise<Engine> {
  const versions = readVersions().toSorted((a, b) => Number(b) - Number(a))
  const initdb = requireProgram("initdb", [...versions.map((version) => `/usr/lib/postgresql/${version}/bin/initdb`), "/usr/local/bin/initdb"])
  const home = join(directory, "postgres")
  mkdirSync(home)
  const user = ownerOf(home)
  const made = spawnSync(initdb, ["-D", home, "-A", "trust", "-U", "bench", "-E", "UTF8", "--no-locale"], {
    stdio: ["ignore", "ignore", "pipe"],
    encoding: "utf8",
    ...user,
  })
  if (made.status !== 0) throw new Skipped(`initdb failed: ${made.stderr.trim()}`, REMEDY)
  const port = await freePort()
  const settings = { port, listen_addresses: "127.0.0.1", unix_socket_directories: home, max_connections: 200 }
  const child = spawn(join(initdb, "..", "postgres"), ["-D", home, ...Object.entries(settings).flatMap(([key, value]) => ["-c", `${key}=${value}`])], {
    stdio: ["ignore", "ignore", "ignore"],
    ...user,
  })
  // By SIGKILL its backends would outlive it.
  endLater(child, "SIGQUIT")
  const address = { port: String(port) }
  const own = await connect(address)
  await own.query(`
    CREATE TABLE task (id text PRIMARY KEY, priority int NOT NULL, position bigint NOT NULL, title text NOT NULL, owner text, fence bigint, lease_ends_at timestamptz);
    CREATE INDEX open_tasks ON task (priority, position) WHERE owner IS NULL;
    CREATE SEQUENCE fence;`)
  return {
    name: "postgres",
    address,
    pid: child.pid as number,
    async stored() {
      const { rows } = await own.query("SELECT id, fence FROM task WHERE owner IS NOT NULL")
      return rows.map(({ id, fence }) => ({ task: id ?? "", fence: Number(fence) }))
    },
    async stop() {
      await own.end()
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGINT")
      await ended
    },
  }
}

/** Postgres refuses to run as root: then its own account runs it, and owns its directory. */
function ownerOf(home: string): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string): number => Number(spawnSync("id", [flag, "postgres"], { encoding: "utf8" }).stdout)
  const [uid, gid] = [id("-u"), id("-g")]
  if (!Number.isInteger(uid) || uid === 0)
    throw new Skipped("Postgres does not run as root, and there is no account `postgres`", "Run the bench as another user.")
  chownSync(home, uid, gid)
  // The directory above must let that account through.
  chownSync(join(home, ".."), process.getuid(), gid)
  spawnSync("chmod", ["0710", join(home, "..")])
  return { uid, gid }
}

function readVersions(): string[] {
  try {
    return readdirSync("/usr/lib/postgresql")
  } catch {
    return []
  }
}

async function connect({ port }: Address): Promise<PgClient> {
  const { Client } = load("pg")
  for (let tries = 0; ; tries += 1) {
    const client = new Client({ host: "127.0.0.1", port: Number(port), user: "bench", database: "postgres" })
    client.on("error", () => undefined)
    try {
      await client.connect()
      return client
    } catch (error) {
      if (tries === 250) throw error
      await sleep(20)
    }
  }
}

const claimOf = (limit: string): string => `
  WITH next AS (SELECT id FROM task WHERE owner IS NULL ORDER BY priority, position LIMIT ${limit} FOR UPDATE SKIP LOCKED)
  UPDATE task SET owner = $1, fence = nextval('fence'), lease_ends_at = now() + interval '120 s' FROM next WHERE task.id = next.id
  RETURNING task.id, task.fence`
const CLAIM = claimOf("1")
const CLAIM_SEVERAL = claimOf("$2")
const CLAIM_AND_NOTIFY = `WITH claimed AS (${CLAIM}) SELECT id, fence, pg_notify('claims', id) FROM claimed`

export async function postgresDriver(address: Address): Promise<Driver> {
  const own = await connect(address)
  const open: PgClient[] = [own]
  return {
    async fill(tasks) {
      await own.query("INSERT INTO task (id, priority, position, title) SELECT id, 2, row_number() OVER (), 'Task ' || id FROM unnest($1::text[]) AS id", [
        tasks,
      ])
    },
    async claimant({ announce }) {
      const client = await connect(address)
      open.push(client)
      const owner = `agent-${open.length}`
      const query = announce ? { name: "claim-notify", text: CLAIM_AND_NOTIFY } : { name: "claim", text: CLAIM }
      return {
        async claim(): Promise<Claim | null> {
          const { rows } = await client.query({ ...query, values: [owner] })
          const [row] = rows
          return row === undefined ? null : claimIn(row)
        },
        async claimSeveral(count): Promise<Claim[]> {
          const { rows } = await client.query({ name: "claim-several", text: CLAIM_SEVERAL, values: [owner, count] })
          return rows.map(claimIn)
        },
        close: () => client.end(),
      }
    },
    async listen(onClaim) {
      const client = await connect(address)
      open.push(client)
      client.on("notification", (notice) => onClaim((notice as { payload?: string }).payload ?? ""))
      await client.query("LISTEN claims")
      return () => client.query("UNLISTEN claims")
    },
    async clear() {
      await own.query("TRUNCATE task")
      await own.query("VACUUM ANALYZE task")
    },
    async close() {
      await Promise.all(open.map((client) => client.end()))
    },
  }
}

function claimIn(row: Record<string, string>): Claim {
  return { task: row["id"] ?? "", fence: Number(row["fence"]) }
}
