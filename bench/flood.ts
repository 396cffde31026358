/**
 * A process that offers a steady load, whatever comes back: it does not wait for answers before it asks on. Its clients either heed the protocol (so many calls
 * in flight at the most, and none before the time that `overloaded` names; what there was to ask meanwhile is held back, and counted), or heed nothing: then what
 * the hub does not read piles up in their own sockets, and the time that it lies there is theirs.
 */
import { connect } from "../src/client/client.ts"
import { answer } from "./child.ts"
import { addAgent } from "./skein.ts"
import { Wire } from "./wire.ts"

export type Interval = {
  offered: number
  /** Not sent: too much was in flight, or the hub had named a time that was not there yet. */
  heldBack: number
  accepted: number
  overloaded: number
  other: number
  p50Ms: number
  p99Ms: number
  retryAfterP50Ms: number
  unanswered: number
  /** How late this process itself came to offer its load, p99: so much of a latency may be its own. */
  lateP99Ms: number
}

const PLAIN_ID = /"id":(\d+),"(ok|error)"/g
const TICK_MS = 2
/** What a client adds to the time that it was told, by full jitter, as `src/client/retry.ts` does on the first repeat. */
const JITTER_MS = 25

type Lane = { wire: Wire; task: string; fence: number; sent: Map<number, number>; next: number; restsUntilMs: number; toSend: string[] }
const lanes: Lane[] = []
let accepted: number[] = []
let retryAfter: number[] = []
let overloaded = 0
let other = 0
let offered = 0
let late: number[] = []
let heldBack = 0
let inFlightMax = Number.POSITIVE_INFINITY
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
        const retryAfterMs = Number(/"retryAfterMs":(\d+)/.exec(error)?.[1] ?? Number.NaN)
        retryAfter.push(retryAfterMs)
        lane.restsUntilMs = Math.max(lane.restsUntilMs, nowMs + retryAfterMs + Math.random() * JITTER_MS)
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
  async open({ url, credential, name, count, inFlight }: { url: string; credential: string; name: string; count: number; inFlight: number | null }) {
    inFlightMax = inFlight ?? Number.POSITIVE_INFINITY
    const operator = await connect({ url, credential })
    for (let at = 0; at < count; at += 1) {
      const task = `${name}-${at}`
      await operator.task.add({ id: task, title: `Task ${task}` })
      const wire = await Wire.open(url, await addAgent(operator, `${name}-agent-${at}`))
      const { ok } = await wire.ask({ id: 0, op: "task.claim", in: { task } })
      const lane: Lane = { wire, task, fence: ok?.["fence"] as number, sent: new Map(), next: 1, restsUntilMs: 0, toSend: [] }
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
      late.push(nowMs - lastMs - TICK_MS)
      lastMs = nowMs
      for (; owed >= 1; owed -= 1) {
        const lane = lanes[(turn = (turn + 1) % lanes.length)] as Lane
        offered += 1
        if (Number.isFinite(inFlightMax) && (lane.sent.size >= inFlightMax || nowMs < lane.restsUntilMs)) {
          heldBack += 1
          continue
        }
        const id = lane.next
        lane.next += 1
        lane.sent.set(id, nowMs)
        lane.toSend.push(`{"id":${id},"op":"task.update","in":{"task":"${lane.task}","fence":${lane.fence},"progress":0.5}}`)
      }
      // One message a connection and tick: the process that makes the load must not be what it waits for.
      for (const lane of lanes) {
        if (lane.toSend.length > 0) lane.wire.send(`[${lane.toSend.join(",")}]`)
        lane.toSend = []
      }
    }, TICK_MS)
  },
  /** What came of it since the last time. */
  take(): Interval {
    const interval = {
      offered,
      heldBack,
      accepted: accepted.length,
      overloaded,
      other,
      p50Ms: percentileOf(accepted, 0.5),
      p99Ms: percentileOf(accepted, 0.99),
      retryAfterP50Ms: percentileOf(retryAfter, 0.5),
      lateP99Ms: percentileOf(late, 0.99),
      unanswered: lanes.reduce((sum, { sent }) => sum + sent.size, 0),
    }
    late = []
    offered = 0
    heldBack = 0
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
