import { randomBytes } from "node:crypto"
import { setTimeout as sleep } from "node:timers/promises"
import { type Delivered, type Delivery, outOfQuota, type Refused, refused } from "../driver.ts"
import type { ScreenFacts } from "../presets/preset.ts"
import { quotaNotice } from "../quota-notice.ts"
import { leftAtShell, type Pane, PANE_FORMAT, readPane, UNTOLD } from "./pane.ts"
import type { People } from "./people.ts"
import { CLIENT_FORMAT } from "./people.ts"
import { hasDraft, type Screen, screenOf, shows, sightOf } from "./screen.ts"
import type { TmuxWay } from "./tmux-command.ts"
import { typable } from "./typable.ts"

/** Enter may come again this often, while the text stands in the input and nobody has seen it arrive. */
const ENTER_AGAIN_MAX = 2
const ENTER_AGAIN_MS = 1_500
const LOOK_MS = 50
/** An agent that has not shown a paste by then may show it otherwise than its preset knows. */
const SHOWN_WITHIN_MS = 3_000
const SHOWN_LOOK_MS = 20
const STEADY_MS = 30
const STEADY_LOOKS = 10

/** What a wake ends with, right before the cursor. */
const LEFT_UNSENT = /\[skein:[\w.-]+\]\s*$/u

type Place = { pane: string; pid: number }
type Seen = { pane: Pane; screen: Screen }

/**
 * Types texts into panes. Every key is sent under a condition that tmux itself checks in the same step (same process, alive, not in a mode, cursor where it
 * was seen), so nothing that happens between a look and a key can lead the key astray.
 */
export class Typing {
  readonly #tmux: TmuxWay
  readonly #people: People
  readonly #nowMs: () => number
  /** When a text of ours was left unsent in a pane's input. */
  readonly #unsent = new Map<string, number>()

  constructor(tmux: TmuxWay, people: People, nowMs: () => number) {
    this.#tmux = tmux
    this.#people = people
    this.#nowMs = nowMs
  }

  async type(place: Place, facts: ScreenFacts, delivery: Delivery): Promise<Delivered> {
    const text = typable(delivery.text, delivery.form, facts.bracketedPaste)
    const seen = await this.#look(place, facts, delivery)
    if ("ok" in seen) return seen
    const there = delivery.nonce !== null && shows(seen.screen, delivery.nonce)
    const draft = hasDraft(seen.screen, facts)
    if (there && !draft && (facts.emptyInput !== null || !this.#unsent.has(place.pane))) {
      this.#unsent.delete(place.pane)
      return { ok: true, channel: "tmux", handed: false, detail: "the text was there already" }
    }
    if (draft && !there && delivery.quietMs > 0 && this.#untouched(place.pane) && LEFT_UNSENT.test(seen.screen.before)) {
      // Left by a supervisor that was killed before Enter, for a wake that is over by now: in the way for ever, and it says to read, so it is sent.
      const pressed = await this.#press(place)
      return pressed ?? refused("DRAFT_PRESENT", "an earlier wake stood unsent in the input line: it was sent")
    }
    if (draft && !(there && this.#untouched(place.pane))) return refused("DRAFT_PRESENT", "the input line holds a draft")
    if (!there) {
      const pasted = await this.#paste(place, seen.pane, text)
      if (pasted !== null) return pasted
      this.#unsent.set(place.pane, this.#nowMs())
    }
    return this.#enter(place, facts, delivery, there ? "its text stood in the input already" : `${Buffer.byteLength(text)} bytes pasted`)
  }

  /** What stands in the way, or what was seen where nothing does. */
  async #look(place: Place, facts: ScreenFacts, { quietMs, quotaSaid = null }: Pick<Delivery, "quietMs" | "quotaSaid">): Promise<Seen | Refused> {
    const pane = await this.pane(place.pane)
    if (pane === null) return refused("PANE_DEAD", `there is no pane ${place.pane}`)
    const gone = await unfit(pane, place)
    if (gone !== null) return gone
    if (quietMs > 0 && (await this.#busy(place.pane, quietMs))) return refused("OPERATOR_BUSY", `a person has typed in the last ${quietMs} ms`)
    const steady = await this.#steady(place.pane, facts)
    if (steady === null) return refused("PANE_DEAD", `pane ${place.pane} has gone`)
    const { screen } = steady
    const quota = quotaNotice(screen.text, facts.exhausted, this.#nowMs())
    if (quota !== null && quota.said !== quotaSaid && (quota.untilMs ?? Infinity) > this.#nowMs()) return outOfQuota(quota)
    if (sightOf(screen, facts).menu) return refused("MENU_OPEN", "the agent asks something: nothing is typed into a menu")
    return steady
  }

  async pane(id: string): Promise<Pane | null> {
    const found = await this.#tmux.run({ words: ["display-message", "-p", "-t", id, PANE_FORMAT] })
    return found.ok ? readPane(found.lines[0] ?? "") : null
  }

  async #busy(pane: string, quietMs: number): Promise<boolean> {
    const clients = await this.#tmux.run({ words: ["list-clients", "-F", CLIENT_FORMAT] })
    if (clients.ok) this.#people.look(clients.lines)
    return this.#people.typedWithin(pane, quietMs, this.#nowMs())
  }

  /** Nobody has typed since our text was left there. */
  #untouched(pane: string): boolean {
    const atMs = this.#unsent.get(pane)
    const typedAtMs = this.#people.typedAtMs(pane)
    return atMs === undefined || typedAtMs === null || typedAtMs < atMs
  }

  /** A program that draws moves its cursor about: what is seen twice running is so. */
  async #steady(pane: string, facts: ScreenFacts): Promise<Seen | null> {
    let last = await this.#see(pane)
    for (let looks = 0; facts.emptyInput !== null && last !== null && looks < STEADY_LOOKS; looks += 1) {
      await sleep(STEADY_MS)
      const next = await this.#see(pane)
      if (next === null) return null
      if (next.pane.cursorY === last.pane.cursorY && next.screen.before === last.screen.before) return next
      last = next
    }
    return last
  }

  async #see(id: string): Promise<Seen | null> {
    const pane = await this.pane(id)
    const shown = await this.#tmux.run({ words: ["capture-pane", "-p", "-t", id] })
    return pane === null || !shown.ok ? null : { pane, screen: screenOf(shown.lines, { x: pane.cursorX, y: pane.cursorY }) }
  }

  async #paste(place: Place, seen: Pane, text: string): Promise<Refused | null> {
    const name = `skein-${randomBytes(6).toString("hex")}`
    const loaded = await this.#tmux.run({ words: ["set-buffer", "-b", name, "--", text] })
    if (!loaded.ok) return refused("SEND_KEYS_ERROR", loaded.error)
    const condition = `#{&&:${fit(place)},#{==:#{cursor_x},${seen.cursorX}}}`
    // -d takes the buffer away with the paste: one that is still there was not pasted.
    const sent = await this.#tmux.run({ words: ["if-shell", "-F", "-t", place.pane, condition, `paste-buffer -p -d -b ${name} -t ${place.pane}`] })
    const left = await this.#tmux.run({ words: ["delete-buffer", "-b", name] })
    if (!left.ok && left.lost) return refused("SEND_KEYS_ERROR", `tmux was lost while the text was typed: ${left.error}`)
    if (!left.ok && sent.ok) return null
    return refused("SEND_KEYS_ERROR", sent.ok ? "the pane changed in the moment of typing: nothing was typed" : sent.error)
  }

  async #enter(place: Place, facts: ScreenFacts, delivery: Delivery, how: string): Promise<Delivered> {
    for (let times = 1; ; times += 1) {
      if (times === 1) {
        // An agent that is slow to read would get both at once, take Enter for a part of the paste, and seem to have an empty input until then.
        await this.#shown(place, facts)
        await sleep(facts.enterAfterMs)
      }
      const before = await this.#look(place, facts, { ...delivery, quietMs: 0 })
      if ("ok" in before) return { ...before, detail: `${before.detail}; the text may stand unsent in the input` }
      await this.#busy(place.pane, 1)
      if (!this.#untouched(place.pane) && delivery.quietMs > 0) return refused("OPERATOR_BUSY", "a person began to type: the text stands unsent in the input")
      const pressed = await this.#press(place)
      if (pressed !== null) return pressed
      const after = await this.#sent(place, facts, delivery)
      if (after === "sent") {
        this.#unsent.delete(place.pane)
        return { ok: true, channel: "tmux", handed: true, detail: `${how}, Enter ${times === 1 ? "once" : `${times} times`}` }
      }
      if (after === "gone") return refused("PANE_DEAD", `pane ${place.pane} died after the text was sent`)
      if (times > ENTER_AGAIN_MAX) return refused("SEND_KEYS_ERROR", `Enter was pressed ${times} times, and the text still stands in the input`)
    }
  }

  /** Waits until the text stands in the input, as far as the preset knows how that looks. */
  async #shown(place: Place, facts: ScreenFacts): Promise<void> {
    const endsAt = performance.now() + SHOWN_WITHIN_MS
    while (facts.emptyInput !== null && performance.now() < endsAt) {
      const seen = await this.#see(place.pane)
      if (seen === null || seen.pane.dead || hasDraft(seen.screen, facts)) return
      await sleep(SHOWN_LOOK_MS)
    }
  }

  async #press({ pane, pid }: Place): Promise<Refused | null> {
    const name = `skein-${randomBytes(6).toString("hex")}`
    const words = [
      "if-shell",
      "-F",
      "-t",
      pane,
      fit({ pane, pid }),
      `send-keys -t ${pane} Enter ; set-option -p -u -t ${pane} ${UNTOLD}`,
      `set-buffer -b ${name} no`,
    ] as const
    const sent = await this.#tmux.run({ words })
    const left = await this.#tmux.run({ words: ["delete-buffer", "-b", name] })
    if (sent.ok && !left.ok && !left.lost) return null
    return refused("SEND_KEYS_ERROR", sent.ok ? "Enter was not pressed: the pane changed; the text stands unsent in the input" : sent.error)
  }

  /** Whether the input has been emptied: where the preset does not know how that looks, one Enter has to do. */
  async #sent(place: Place, facts: ScreenFacts, delivery: Delivery): Promise<"sent" | "there" | "gone"> {
    const endsAt = performance.now() + ENTER_AGAIN_MS
    while (performance.now() < endsAt) {
      if (delivery.acknowledged() || facts.emptyInput === null) return "sent"
      await sleep(LOOK_MS)
      const seen = await this.#see(place.pane)
      if (seen === null || seen.pane.dead || seen.pane.pid !== place.pid) return "gone"
      if (!hasDraft(seen.screen, facts)) return "sent"
    }
    return "there"
  }
}

/** tmux's own condition for a key: the pane still holds the process, alive, and its keyboard is not tmux's. */
const fit = ({ pid }: Place): string => `#{&&:#{==:#{pane_pid},${pid}},#{&&:#{==:#{pane_dead},0},#{==:#{pane_in_mode},0}}}`

async function unfit(pane: Pane, { pid }: Place): Promise<Refused | null> {
  if (pane.dead) return refused("PANE_DEAD", `the agent in pane ${pane.pane} has ended${pane.exit === null ? "" : ` with status ${pane.exit}`}`)
  if (pane.pid !== pid) return refused("PANE_DEAD", `pane ${pane.pane} holds process ${pane.pid}, not ${pid}`)
  if (pane.inMode) return refused("COPY_MODE", `pane ${pane.pane} is in a mode of tmux: keys would not reach the agent`)
  if (await leftAtShell(pane)) return refused("PANE_DEAD", `the agent in pane ${pane.pane} has ended and left a shell: nothing is typed into it`)
  return null
}
