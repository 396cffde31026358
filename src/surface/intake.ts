import type { WebSocket } from "ws"
import type { Message } from "../contract/frame-reader.ts"
import { Refusals } from "./rate.ts"
import { LONG_TEXT_BYTES, textTurns } from "./text-turns.ts"

/** Calls in flight above which nothing more is read from a connection, until half of them are answered. */
const IN_FLIGHT_READ = 256
/** The same while more is asked than the hub can do, at the least: what is read then is read instead of somebody else's call. */
const IN_FLIGHT_LEAST = 16
/** Nothing is read from a connection of those that ask on and on of an overloaded hub for this long at the least, in ms. */
const REST_MS = 25

/** What a connection may send that is no call, such as a hello or a beat, before it counts as refusals do: nobody rests for so little because others were refused. */
export const ASIDES = { perSecond: 100, burst: 100 } as const

type IntakeOptions = {
  ws: Pick<WebSocket, "isPaused" | "pause" | "resume">
  refusals: Refusals
  /** How many commands this caller may have waiting right now. */
  share(): number
  take(data: Message, isBinary: boolean): void
}

/**
 * When a connection's messages are taken up: not while much of it is in flight, nor while it goes on asking where the hub has said `overloaded` or `rate_limited` as often
 * as it can afford, or with what counts against no rate. What its client sends meanwhile fills that client's own socket, and costs the hub nothing; refusing it all, one by one, would cost what the hub has too
 * little of.
 */
export class Intake {
  readonly #ws: IntakeOptions["ws"]
  readonly #refusals: Refusals
  readonly #share: IntakeOptions["share"]
  readonly #take: IntakeOptions["take"]
  /** What had been read when the connection was paused; it is taken up, in order, before more is read. */
  readonly #unread: [Message, boolean][] = []
  /** Calls in flight that are answered as soon as may be: a claim that waits may be parked for minutes, and must not stop all else. */
  #working = 0
  #rest: NodeJS.Timeout | null = null
  /** Spent beyond the rate, and not paid for yet. */
  #unpaid = 0
  readonly #asides = new Refusals(ASIDES)
  #held = false
  #over = false

  // Each by itself: one object less to look up for every message of a connection that nobody has heard of for a while.
  constructor({ ws, refusals, share, take }: IntakeOptions) {
    this.#ws = ws
    this.#refusals = refusals
    this.#share = share
    this.#take = take
  }

  /** Whether every call that is answered as soon as may be is answered. */
  get idle(): boolean {
    return this.#working === 0
  }

  received(data: Message, isBinary: boolean): void {
    if (this.#over) return
    if (this.#ready && this.#unread.length === 0) this.#takeUp(data, isBinary)
    else {
      // How much may be in flight changes with the load: it may be too much by now without another call.
      this.#ws.pause()
      this.#unread.push([data, isBinary])
    }
  }

  /** Nothing is taken up until `goOn`. False where that is so already. */
  hold(): boolean {
    if (this.#held) return false
    this.#ws.pause()
    return (this.#held = true)
  }

  goOn(): void {
    this.#held = false
    this.#next()
  }

  /** Nothing is taken up any more. */
  end(): void {
    this.#over = true
    this.#ws.pause()
    this.#rested()
  }

  /** A call begins that is answered as soon as may be. */
  begun(): void {
    this.#working += 1
    if (!this.#mayTake) this.#ws.pause()
  }

  answered(): void {
    this.#working -= 1
    if (this.#working <= IN_FLIGHT_LEAST / 2 || 2 * this.#working <= this.#window) this.#next()
  }

  /** Something came that counts against no agent's rate: a beat costs as much for each session that its sender is not known to own. */
  aside(units = 1): void {
    if (!this.#asides.take(units)) this.refused(units)
  }

  /** A call was told `overloaded` or `rate_limited`. */
  refused(units = 1): void {
    if (this.#rest === null && this.#refusals.take(units)) return
    this.#unpaid += units
    if (this.#rest !== null || this.#over) return
    this.#ws.pause()
    this.#refusals.rest()
    this.#restFor(REST_MS)
  }

  #restFor(ms: number): void {
    const over = (): void => {
      const moreMs = this.#refusals.priceMs(this.#unpaid) - ms
      this.#unpaid = 0
      if (moreMs > 0) this.#restFor(moreMs)
      else {
        this.#rested()
        this.#next()
      }
    }
    this.#rest = setTimeout(over, ms)
    this.#rest.unref()
  }

  #rested(): void {
    if (this.#rest === null) return
    clearTimeout(this.#rest)
    this.#rest = null
    this.#refusals.rested()
  }

  #takeUp(data: Message, isBinary: boolean): void {
    const bytes = (data as string | Buffer).length
    if (bytes <= LONG_TEXT_BYTES) this.#take(data, isBinary)
    else this.#takeInTurn(bytes, data, isBinary)
  }

  /** What comes after a long message waits with it. */
  #takeInTurn(bytes: number, data: Message, isBinary: boolean): void {
    this.hold()
    textTurns.begin(bytes, () => {
      this.#held = false
      if (this.#over) return
      this.#take(data, isBinary)
      // It may have held a hello, after which things go on.
      if (!this.#held) this.#next()
    })
  }

  get #ready(): boolean {
    return !this.#held && this.#rest === null && this.#mayTake
  }

  get #mayTake(): boolean {
    return this.#working < IN_FLIGHT_LEAST || this.#working < this.#window
  }

  /** Under a load that stays, eight times what of the next batch is this caller's: enough for it to hear `overloaded`, and heed it. */
  get #window(): number {
    return Math.min(IN_FLIGHT_READ, Math.max(IN_FLIGHT_LEAST, 8 * this.#share()))
  }

  #next(): void {
    if (!this.#ws.isPaused || this.#over) return
    while (this.#ready) {
      const next = this.#unread.shift()
      if (next === undefined) {
        this.#ws.resume()
        return
      }
      this.#takeUp(...next)
    }
  }
}
