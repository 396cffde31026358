/** A process of subscribers: it counts what reaches each of them, and when. Frames are not parsed: the machine is the hub's. */
import { answer } from "./child.ts"
import { Wire } from "./wire.ts"

/** A frame that reached the subscriber so numbered, with entries up to `to`. */
export type Delivery = { subscriber: number; to: number; atNs: bigint }
export type Delivered = { frames: number; bytes: number; deliveries: Delivery[] }

const wires: Wire[] = []
let frames = 0
let bytes = 0
let deliveries: Delivery[] = []
/** The last seq that each subscriber has. */
const reached: number[] = []

answer({
  async open({ url, token, count, from }: { url: string; token: string; count: number; from: number }) {
    for (let at = 0; at < count; at += 1) {
      const wire = await Wire.open(url, token)
      const index = wires.push(wire) - 1
      reached.push(from - 1)
      wire.onMessage = (data) => {
        // `,"to":123}` ends every frame of events.
        const tail = data.toString("latin1", Math.max(0, data.length - 24))
        const to = Number(/"to":(\d+)\}\]?$/.exec(tail)?.[1] ?? 0)
        if (to === 0) throw new Error(`no event frame: ${data.toString().slice(0, 200)}`)
        frames += 1
        bytes += data.length
        reached[index] = to
        deliveries.push({ subscriber: index, to, atNs: process.hrtime.bigint() })
      }
      wire.send(JSON.stringify({ subscribe: { from } }))
    }
  },
  /** How far the last of them is. */
  reached: () => Math.min(...reached),
  take(): Delivered {
    const taken = { frames, bytes, deliveries }
    frames = 0
    bytes = 0
    deliveries = []
    return taken
  },
  stop() {
    for (const wire of wires) wire.close()
  },
})
