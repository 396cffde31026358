import { createWriteStream, type WriteStream } from "node:fs"
import { StringDecoder } from "node:string_decoder"

/** Which pipe of the child it came from. */
export type Stream = "stdout" | "stderr"
/** A piece of output as it was read. Control characters are data: whoever shows it on a terminal must escape them. */
export type OutputChunk = { stream: Stream; text: string }

/** How much of the end of each stream is kept in memory, in UTF-16 units. */
const TAIL_UNITS = 32_768

export type OutputOptions = {
  onOutput?: ((chunk: OutputChunk) => void) | undefined
  /** Appended to, made with mode 0600. */
  logFile?: string | undefined
  /** Bytes of both streams together that reach the log and `onOutput`; what comes later is read, counted and dropped. */
  maxBytes: number
}

/**
 * What a child wrote: handed on and logged up to a limit, counted beyond it, its end kept in memory. Memory is bounded by the limit
 * (a log on a slow disk) and the tails, however much the child writes; the child is never held up by a full pipe.
 */
export class ChildOutput {
  /** All bytes that the child wrote, also those that were dropped. */
  bytes = 0
  /** Why the log could not be written, or null. A full disk must not take the child down. */
  logError: Error | null = null
  readonly #options: OutputOptions
  readonly #log: WriteStream | null
  readonly #decoders = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") }
  readonly #tails: Record<Stream, { order: number; text: string }[]> = { stdout: [], stderr: [] }
  readonly #tailUnits = { stdout: 0, stderr: 0 }
  #order = 0

  constructor(options: OutputOptions) {
    this.#options = options
    this.#log = options.logFile === undefined ? null : createWriteStream(options.logFile, { flags: "a", mode: 0o600 })
    this.#log?.on("error", (error) => {
      this.logError = error
    })
  }

  /** Whether more was written than the limit let through. */
  get cut(): boolean {
    return this.bytes > this.#options.maxBytes
  }

  take(stream: Stream, chunk: Buffer): void {
    const room = Math.max(0, this.#options.maxBytes - this.bytes)
    const wasCut = this.cut
    this.bytes += chunk.length
    const within = chunk.subarray(0, room)
    // Decoded in two steps, so that a character split by the limit is dropped rather than shown as a broken one.
    const shown = this.#decoders[stream].write(within)
    this.#keep(stream, shown + this.#decoders[stream].write(chunk.subarray(within.length)))
    if (within.length > 0 && this.logError === null) this.#log?.write(within)
    if (shown !== "") this.#options.onOutput?.({ stream, text: shown })
    if (this.cut && !wasCut && this.logError === null) this.#log?.write(`\n[output cut at ${this.#options.maxBytes} bytes]\n`)
  }

  /** The end of one stream, or of both as they came: at most 32,768 characters of each. */
  tail(stream?: Stream): string {
    const pieces = stream === undefined ? [...this.#tails.stdout, ...this.#tails.stderr].sort((a, b) => a.order - b.order) : this.#tails[stream]
    return pieces.map((piece) => piece.text).join("")
  }

  /** The last call: nothing more will come. Resolves when the log is as complete as it will ever be. */
  close(): Promise<void> {
    for (const stream of ["stdout", "stderr"] as const) {
      const broken = this.#decoders[stream].end()
      this.#keep(stream, broken)
      if (broken !== "" && !this.cut) this.#options.onOutput?.({ stream, text: broken })
    }
    const log = this.#log
    if (log === null || log.closed) return Promise.resolve()
    return new Promise((resolve) => {
      log.once("close", resolve)
      if (!log.destroyed) log.end()
    })
  }

  #keep(stream: Stream, text: string): void {
    if (text === "") return
    const tail = this.#tails[stream]
    tail.push({ order: this.#order++, text: text.slice(-TAIL_UNITS) })
    this.#tailUnits[stream] += Math.min(text.length, TAIL_UNITS)
    while (this.#tailUnits[stream] > TAIL_UNITS) {
      const first = tail[0]
      if (first === undefined) return
      const excess = this.#tailUnits[stream] - TAIL_UNITS
      if (first.text.length > excess) {
        first.text = first.text.slice(excess)
        this.#tailUnits[stream] -= excess
      } else {
        tail.shift()
        this.#tailUnits[stream] -= first.text.length
      }
    }
  }
}
