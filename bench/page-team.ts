import { type Client, connect, SkeinError } from "../src/client/client.ts"
import { sleep } from "./scratch.ts"
import { addAgent, type HubAddress, patiently } from "./skein.ts"

/** An agent at work on one task: it notes on, each note with its number. */
export type Worker = { name: string; client: Client; task: string; fence: number; noted: number }

/** A workspace as a director has it: a plan of so many tasks in a few layers, and agents that each hold one of them. */
export async function startTeam({ url, credential }: HubAddress, agents: number, tasks: number): Promise<{ operator: Client; workers: Worker[] }> {
  const operator = await connect({ url, credential })
  const title = (at: number): string => `Task ${at}: what somebody has to do, in words`
  await operator.plan.add({
    name: "bench",
    title: "A plan to look at",
    digest: "0".repeat(64),
    commit: null,
    agents: [],
    tasks: Array.from({ length: tasks }, (_, at) => ({
      id: `t${at}`,
      title: title(at),
      dependsOn: at < agents ? [] : [`t${at - agents}`, `t${Math.floor(at / 2)}`].filter((id, index, all) => all.indexOf(id) === index && id !== `t${at}`),
    })),
  })
  const workers: Worker[] = []
  for (let at = 0; at < agents; at += 1) {
    const name = `agent-${String(at).padStart(2, "0")}`
    const client = await connect({ url, credential: await addAgent(operator, name) })
    await client.session.start({ runtime: "bench", owned: true })
    const task = `bench.1/t${at}`
    const { fence } = await client.task.claim({ task })
    workers.push({ name, client, task, fence, noted: 0 })
    await note(workers[at] as Worker)
  }
  return { operator, workers }
}

/** One entry in the ledger: a note that names its agent and its number. Answers when it is durable. */
export async function note(worker: Worker): Promise<void> {
  const { client, task, fence, name } = worker
  worker.noted += 1
  await client.task.update({ task, fence, note: `${name} #${worker.noted} at work` })
}

export type Sent = { agent: string; number: number; atMs: number }

/** Notes at a steady pace for so long; answers when each was sent, in ms since 1970. */
export async function notesAtPace(workers: readonly Worker[], perSecond: number, lastsMs: number): Promise<{ sent: Sent[]; perSecond: number }> {
  const sent: Sent[] = []
  const calls = new Set<Promise<void>>()
  const startMs = performance.now()
  for (let count = 0; performance.now() - startMs < lastsMs;) {
    const due = Math.floor(((performance.now() - startMs) / 1_000) * perSecond)
    for (; count < due; count += 1) {
      const worker = workers[count % workers.length] as Worker
      sent.push({ agent: worker.name, number: worker.noted + 1, atMs: performance.timeOrigin + performance.now() })
      const call: Promise<void> = note(worker).finally(() => calls.delete(call))
      calls.add(call)
    }
    await sleep(1)
  }
  await Promise.all(calls)
  return { sent, perSecond: (sent.length * 1_000) / (performance.now() - startMs) }
}

/** Notes as fast as the hub takes them, until there were so many; then one of each that is the last: what a busy hub refused came after later ones. */
export async function manyNotes(workers: readonly Worker[], count: number, atOnce = 24): Promise<void> {
  let left = count
  const lane = async (worker: Worker): Promise<void> => {
    while (left > 0) {
      left -= 1
      await patiently(() => note(worker)).catch((error: unknown) => {
        if (!(error instanceof SkeinError && error.code === "timed_out")) throw error
      })
    }
  }
  await Promise.all(workers.flatMap((worker) => Array.from({ length: atOnce }, () => lane(worker))))
  for (const worker of workers) await patiently(() => note(worker))
}
