import type { Terminal } from "./terminal.ts"
import { cutTo, widthOf } from "./text-width.ts"

/** Between two frames, in ms: ten a second are enough to look alive. */
const FRAME_MS = 100

/**
 * A part of the terminal that is drawn over and over in one place. Each frame is one write, between the marks of a synchronized update, so that
 * nothing flickers; lines are cut to the terminal's size, so that nothing wraps or scrolls. Without a live terminal nothing is drawn.
 */
export class LiveScreen {
  readonly #terminal: Terminal
  readonly #render: () => string[]
  #drawn = 0
  #timer: NodeJS.Timeout | null = null
  #isDirty = false

  constructor(terminal: Terminal, render: () => string[]) {
    this.#terminal = terminal
    this.#render = render
  }

  start(): void {
    if (!this.#terminal.isLive) return
    process.stdout.write("\x1b[?25l")
    // Elapsed times move although nothing happens: once a second it is drawn anyway.
    let frames = 0
    this.#timer = setInterval(() => {
      frames += 1
      if (this.#isDirty || frames % 10 === 0) this.#draw()
    }, FRAME_MS)
  }

  /** Something changed: the next frame shows it. */
  changed(): void {
    this.#isDirty = true
  }

  /** Lines that stay, above the part that is drawn. */
  print(text: string): void {
    if (this.#timer === null) this.#terminal.print(text)
    else {
      process.stdout.write(`${this.#upwards()}\x1b[J${text}\n`)
      this.#drawn = 0
      this.#draw()
    }
  }

  /** Draws a last frame, or wipes what is there, and lets the terminal go. */
  stop({ keep = true }: { keep?: boolean } = {}): void {
    if (this.#timer === null) return
    clearInterval(this.#timer)
    this.#timer = null
    if (keep) this.#draw()
    else process.stdout.write(`${this.#upwards()}\x1b[J`)
    process.stdout.write("\x1b[?25h")
  }

  #draw(): void {
    this.#isDirty = false
    const lines = this.#render().slice(0, Math.max(1, this.#terminal.rows - 1))
    const body = lines.map((line) => `\x1b[2K${clipPainted(line, this.#terminal.columns)}\x1b[0m\n`).join("")
    process.stdout.write(`\x1b[?2026h${this.#upwards()}${body}\x1b[J\x1b[?2026l`)
    this.#drawn = lines.length
  }

  #upwards(): string {
    return this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\r`
  }
}

/** Cuts a painted line to a width; colours take no room. */
function clipPainted(line: string, width: number): string {
  if (widthOf(line) <= width) return line
  let room = width
  let clipped = ""
  for (const piece of line.split(/(\x1b\[[0-9;]*m)/)) {
    const kept = piece.startsWith("\x1b[") ? piece : cutTo(piece, room)
    clipped += kept
    room -= widthOf(kept)
  }
  return clipped
}
