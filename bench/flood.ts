/** A process that offers a steady load, whatever comes back: it does not wait for answers before it asks on. */
import { connect } from "../src/client/client.ts"
import { answer } from "./child.ts"
import { addAgent } from "./skein.ts"
import { Wire } from "./wire.ts"

export type Interval = {
  offered: number
  accepted: number
  overloaded: number
  other: number
  p50Ms: number
  p99Ms: number
  retryAfterP50Ms: number
  unanswered: number
}

const PLAIN_ID = /"id":(\d+),"(ok|error)"/g
const TICK_MS = 2

type Lane = { wire: Wire; task: string; fence: number; sent: Map<number, number>; next: number }
const lanes: Lane[] = []
let accepted: number[] = []
let retryAfter: number[] = []
let overloaded = 0
let other = 0
let offered = 0
let timer: NodeJS.Timeout | null = null

/** Answers come as one frame or an array of frames; both are read without building objects. */
function receive(lane: Lane, data: Buffer): void {
  const nowMs = performance.now()
  const text = data.toString("latin1")
  for (const match of text.matchAll(PLAIN_ID)) {
    const id = Number(match[1])
    const sentMs = lane.sent.get(id)
    if (sentMs === undefined) continue
    lane.sent.delete(id)
    if (match[2] === "ok") accepted.push(nowMs - sentMs)
    else {
      const error = text.slice(match.index, match.index + 400)
      if (error.includes('"code":"overloaded"')) {
        overloaded += 1
        retryAfter.push(Number(/"retryAfterMs":(\d+)/.exec(error)?.[1] ?? Number.NaN))
      } else {
        other += 1
        if (other === 1) process.stderr.write(`flood: ${error.slice(0, 200)}\n`)
      }
    }
  }
}

function percentileOf(samples: number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

answer({
  /** Each lane is a connection of an agent that holds a task: its updates are durable writes that leave the state as large as it was. */
  async open({ url, credential, count }: { url: string; credential: string; count: number }) {
    const operator = await connect({ url, credential })
    for (let at = 0; at < count; at += 1) {
      const task = `flood-${at}`
      await operator.task.add({ id: task, title: `Task ${task}` })
      const wire = await Wire.open(url, await addAgent(operator, `flood-agent-${at}`))
      const { ok } = await wire.ask({ id: 0, op: "task.claim", in: { task } })
      const lane: Lane = { wire, task, fence: ok?.["fence"] as number, sent: new Map(), next: 1 }
      wire.onMessage = (data) => receive(lane, data)
      lanes.push(lane)
    }
    await operator.close()
  },
  /** Asks `perSecond` times from now on; 0 ends it. */
  offer({ perSecond }: { perSecond: number }) {
    if (timer !== null) clearInterval(timer)
    timer = null
    if (perSecond === 0) return
    let lastMs = performance.now()
    let owed = 0
    let turn = 0
    timer = setInterval(() => {
      const nowMs = performance.now()
      owed = Math.min(owed + ((nowMs - lastMs) / 1_000) * perSecond, perSecond / 20)
      lastMs = nowMs
      for (; owed >= 1; owed -= 1) {
        const lane = lanes[(turn = (turn + 1) % lanes.length)] as Lane
        const id = lane.next
        lane.next += 1
        lane.sent.set(id, nowMs)
        offered += 1
        lane.wire.send(`{"id":${id},"op":"task.update","in":{"task":"${lane.task}","fence":${lane.fence},"progress":0.5}}`)
      }
    }, TICK_MS)
  },
  /** What came of it since the last time. */
  take(): Interval {
    const interval = {
      offered,
      accepted: accepted.length,
      overloaded,
      other,
      p50Ms: percentileOf(accepted, 0.5),
      p99Ms: percentileOf(accepted, 0.99),
      retryAfterP50Ms: percentileOf(retryAfter, 0.5),
      unanswered: lanes.reduce((sum, { sent }) => sum + sent.size, 0),
    }
    offered = 0
    accepted = []
    retryAfter = []
    overloaded = 0
    other = 0
    return interval
  },
  stop() {
    for (const { wire } of lanes) wire.close()
  },
})
