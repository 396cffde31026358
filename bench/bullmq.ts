import type { Address, Claim, Driver, Engine } from "./engine.ts"
import { load } from "./peer.ts"
import { startRedis } from "./redis.ts"

const QUEUE = "tasks"
const LOCK_MS = 600_000

/** The job queue that most Node teams would take, on a Redis that is as durable as Redis gets. A claim is a worker fetching its next job. */
export function startBullmq(directory: string): Promise<Engine> {
  return startRedis(directory, "bullmq")
}

export async function bullmqDriver({ port }: Address): Promise<Driver> {
  const { Queue, QueueEvents, Worker } = load("bullmq")
  const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null }
  const queue = new Queue(QUEUE, { connection })
  await queue.waitUntilReady()
  const open: { close(force?: boolean): Promise<void> }[] = [queue]
  return {
    async fill(tasks) {
      for (let at = 0; at < tasks.length; at += 1_000) {
        await queue.addBulk(tasks.slice(at, at + 1_000).map((task) => ({ name: "task", data: { title: `Task ${task}` }, opts: { jobId: task } })))
      }
    },
    async claimant() {
      const worker = new Worker(QUEUE, null, { connection, autorun: false, lockDuration: LOCK_MS, skipStalledCheck: true, skipLockRenewal: true })
      await worker.waitUntilReady()
      open.push(worker)
      let token = 0
      return {
        async claim(): Promise<Claim | null> {
          const job = await worker.getNextJob(`t${(token += 1)}`, { block: false })
          return job === undefined ? null : { task: job.id ?? "", fence: token }
        },
        close: () => worker.close(true),
      }
    },
    async listen(onClaim) {
      const events = new QueueEvents(QUEUE, { connection })
      await events.waitUntilReady()
      open.push(events)
      events.on("active", ({ jobId }) => onClaim(jobId))
      return () => events.close(true).catch(() => undefined)
    },
    clear: () => queue.obliterate({ force: true }),
    async close() {
      await Promise.all(open.map((one) => one.close(true).catch(() => undefined)))
    },
  }
}
