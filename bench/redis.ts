import { spawn } from "node:child_process"
import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { endLater } from "./child.ts"
import type { Address, Claim, Driver, Engine } from "./engine.ts"
import { type IoRedis, load, requireProgram } from "./peer.ts"
import { freePort, sleep } from "./scratch.ts"

/** Redis as durable as it gets: every reply after the append-only file was synced. */
export async function startRedis(directory: string, name: "redis" | "bullmq"): Promise<Engine> {
  const program = requireProgram("redis-server", ["/usr/bin/redis-server", "/usr/local/bin/redis-server"])
  const home = join(directory, name)
  mkdirSync(home)
  const port = await freePort()
  const settings = { port, bind: "127.0.0.1", dir: home, appendonly: "yes", appendfsync: "always", daemonize: "no", "maxmemory-policy": "noeviction" }
  const child = spawn(program, [...Object.entries(settings).flatMap(([key, value]) => [`--${key}`, String(value)]), "--save", ""], {
    stdio: ["ignore", "ignore", 2],
  })
  endLater(child)
  const address = { port: String(port) }
  const own = await connect(address)
  return {
    name,
    address,
    pid: child.pid as number,
    stored: name === "redis" ? () => storedClaims(own) : () => Promise.resolve(null),
    async stop() {
      own.disconnect()
      const ended = new Promise((resolve) => child.once("exit", resolve))
      child.kill("SIGTERM")
      await ended
    },
  }
}

async function connect({ port }: Address): Promise<IoRedis> {
  const { Redis } = load("ioredis")
  // It says ECONNREFUSED until the server listens, and tries again.
  const redis = new Redis({ host: "127.0.0.1", port: Number(port), retryStrategy: () => 20, maxRetriesPerRequest: 200 })
  redis.on("error", () => undefined)
  for (let tries = 0; tries < 200; tries += 1) {
    if ((await redis.ping().catch(() => "")) === "PONG") return redis
    await sleep(20)
  }
  throw new Error("Redis did not start")
}

/** The same work as a claim of ours: the next task by priority and age, an owner, a fencing token, an end of the lease that is found again. */
const CLAIM = `
  local popped = redis.call('ZPOPMIN', KEYS[1])
  if #popped == 0 then return false end
  local fence = redis.call('INCR', KEYS[2])
  redis.call('HSET', 'task:' .. popped[1], 'owner', ARGV[1], 'fence', fence, 'leaseEndsAt', ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[2], popped[1])
  if ARGV[3] == '1' then redis.call('PUBLISH', 'claims', popped[1]) end
  return {popped[1], fence}`

/** The same for the next so many of them. */
const CLAIM_SEVERAL = `
  local popped = redis.call('ZPOPMIN', KEYS[1], ARGV[3])
  local claimed = {}
  for at = 1, #popped, 2 do
    local fence = redis.call('INCR', KEYS[2])
    redis.call('HSET', 'task:' .. popped[at], 'owner', ARGV[1], 'fence', fence, 'leaseEndsAt', ARGV[2])
    redis.call('ZADD', KEYS[3], ARGV[2], popped[at])
    claimed[#claimed + 1] = {popped[at], fence}
  end
  return claimed`

export async function redisDriver(address: Address): Promise<Driver> {
  const own = await connect(address)
  const open: IoRedis[] = [own]
  let owner = 0
  return {
    async fill(tasks) {
      const pipeline = own.pipeline()
      for (const [at, task] of tasks.entries()) pipeline.hset(`task:${task}`, "title", `Task ${task}`).zadd("open", at, task)
      await pipeline.exec()
    },
    async claimant({ announce }) {
      const redis = await connect(address)
      open.push(redis)
      redis.defineCommand("claim", { numberOfKeys: 3, lua: CLAIM })
      redis.defineCommand("claimSeveral", { numberOfKeys: 3, lua: CLAIM_SEVERAL })
      const name = `agent-${(owner += 1)}`
      return {
        async claim(): Promise<Claim | null> {
          const claimed = await redis.claim("open", "fence", "leases", name, String(Date.now() + 120_000), announce ? "1" : "0")
          return claimed === null ? null : { task: claimed[0], fence: claimed[1] }
        },
        async claimSeveral(count): Promise<Claim[]> {
          const claimed = await redis.claimSeveral("open", "fence", "leases", name, String(Date.now() + 120_000), String(count))
          return claimed.map(([task, fence]) => ({ task, fence }))
        },
        close: () => Promise.resolve(redis.disconnect()),
      }
    },
    async listen(onClaim) {
      const redis = await connect(address)
      open.push(redis)
      redis.on("message", (_channel, task) => onClaim(task ?? ""))
      await redis.subscribe("claims")
      return () => redis.disconnect()
    },
    async clear() {
      await own.flushall()
    },
    close: () => Promise.resolve(open.forEach((redis) => redis.disconnect())),
  }
}

async function storedClaims(redis: IoRedis): Promise<Claim[]> {
  const keys = await redis.keys("task:*")
  const pipeline = redis.pipeline()
  for (const key of keys) pipeline.hget(key, "fence")
  const fences = (await pipeline.exec()) ?? []
  return keys.flatMap((key, at) => {
    const fence = fences[at]?.[1]
    return typeof fence === "string" ? [{ task: key.slice("task:".length), fence: Number(fence) }] : []
  })
}
