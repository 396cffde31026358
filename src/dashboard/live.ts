import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals"
import { type ErrorBody, SkeinError } from "../contract/errors.ts"
import type { OperationName } from "../contract/names.ts"
import type { Input, Output } from "../contract/operations.ts"
import type { Entry } from "../core/entry.ts"
import type { Seq } from "../core/ids.ts"
import { Workspace } from "../core/workspace.ts"
import { type Stand, Stands } from "./stand.ts"
import { fetchSnapshot, foldIn } from "./fold.ts"
import { Link, type Welcome } from "./link.ts"
import { hubClock, livePicture } from "./moment.ts"
import { failureText } from "./failure.ts"

/**
 * How the page stands to the hub. `loading`: entries up to `head` are being folded. `lost`: no connection, the next attempt at `retryAtMs` of
 * `performance.now()`. `signed_out`: only a new link helps. `broken`: this page cannot fold what the hub has; it must be loaded again.
 */
export type Connection =
  | { phase: "connecting" }
  | { phase: "loading"; head: Seq }
  | { phase: "live" }
  | { phase: "lost"; retryAtMs: number }
  | { phase: "signed_out" }
  | { phase: "broken"; why: string }

export type Status = Output<"hub.status">

export const connection: Signal<Connection> = signal({ phase: "connecting" })
/** Whether the hub answers, and the page has what it has: what could not be had before is asked for again. */
export const hubAnswers: ReadonlySignal<boolean> = computed(() => connection.value.phase === "live")
/** What the hub alone knows (presence, alerts), as it said it last; null until then. Of no other moment than now. */
export const hubStatus: Signal<Status | null> = signal(null)
/** When the hub was heard last, in ms of `performance.now()`: how old the picture is at the most. */
export const heardAtMs: Signal<number> = signal(0)
/** The hub that answers, once it has. */
export const welcome: Signal<Welcome | null> = signal(null)

const BACKOFF_MS = 250
const BACKOFF_MAX_MS = 10_000
/** Between two questions for the hub's own view when nothing happens, and at the least when much does, in ms. */
const ASK_MS = 5_000
const ASK_AGAIN_MS = 1_000
/** The cookie is renewed so often while the page is open, in ms. */
const RENEW_MS = 3_600_000

/** Calls a read or presence operation. Rejects with `SkeinError`. What changes something goes through `act`. */
export function ask<Name extends OperationName>(name: Name, input: Input<Name>, key?: string): Promise<Output<Name>> {
  return link.call(name, input, key)
}

/** What the page has held, of which the past is made: as soon as it holds anything. */
export async function heldStands(): Promise<readonly Stand[]> {
  await started.promise
  return stands.all
}

/** The workspace that the address names: `/w/NAME`, else `main`. */
export function workspaceOfPage(): string {
  const [, given = "main"] = /^\/w\/([^/]+)/.exec(location.pathname) ?? []
  try {
    return decodeURIComponent(given)
  } catch {
    // No workspace is called so, which the hub says better than an empty page does.
    return given
  }
}

/** The close code of a connection that is not, or no longer, signed in. */
const UNAUTHENTICATED = 4401
/** So few entries come sooner than the question whether there is a snapshot is answered and that is loaded. */
const FEW_ENTRIES = 2_000

const signedOut = new BroadcastChannel("skein-signed-out")
const link = new Link(workspaceOfPage(), { welcome: welcomed, entries: arrived, resync: (from) => link.subscribe(from), heard, closed })
const stands = new Stands()
/** Resolves when the first state is there. */
const started = Promise.withResolvers<void>()
let state: Workspace | null = null
let last: Entry | null = null
let connections = 0
let isDrawn = true
let attempts = 0
let retry = 0
let renewedAtMs = Number.NEGATIVE_INFINITY
/** The hub's clock less this page's, in ms. */
let aheadMs = 0
let askedAtMs = Number.NEGATIVE_INFINITY
let isAsking = false
/** The hub ends the connection of who signs out. */
let isLeaving = false

/** Connects, and stays so. */
export function goLive(): void {
  signedOut.addEventListener("message", leave)
  connect()
  setInterval(tick, 1_000)
  addEventListener("online", connectNow)
  document.addEventListener("visibilitychange", () => {
    if (document.visibilityState !== "visible") return
    draw()
    connectNow()
  })
  addEventListener("focus", connectNow)
}

/** Tries at once, if it is waiting to try, or was signed out: another tab may have signed in. */
export function connectNow(): void {
  const { phase } = connection.peek()
  if (phase !== "lost" && phase !== "signed_out") return
  clearTimeout(retry)
  connect()
}

/** Forgets the cookie, in every tab of the browser. Rejects with `SkeinError` where the hub does not answer, or could not keep that; in the latter case it is forgotten all the same. */
export async function signOut(): Promise<void> {
  isLeaving = true
  try {
    const answer = await fetch("/leave", { method: "POST" }).catch(() => null)
    if (answer === null) {
      if (!link.isOpen && connection.peek().phase === "live") tryLater()
      throw new SkeinError("hub_unreachable", "you are still signed in: the hub does not answer", "Sign out again when it is back. If it is down: skein up")
    }
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel reaches its own origin alone
    signedOut.postMessage(null)
    leave()
    if (answer.ok) return
    const { code, message, remedy } = (await answer.json()) as ErrorBody
    throw new SkeinError(code, message, remedy)
  } finally {
    isLeaving = false
  }
}

function leave(): void {
  connection.value = { phase: "signed_out" }
  link.close()
}

function connect(): void {
  if (connection.peek().phase !== "lost") connection.value = { phase: "connecting" }
  link.open()
}

/** Renews the cookie; false where there is none that counts. Throws where nobody answers. */
async function renew(): Promise<boolean> {
  const { status } = await fetch("/enter", { method: "POST" })
  if (status === 401 || status === 403) {
    // The connection lasts as long as the cookie that it began with: until its end to ask again each second is of no use.
    renewedAtMs = performance.now()
    return false
  }
  if (status !== 200) throw new Error(`the hub answered ${status}`)
  renewedAtMs = performance.now()
  return true
}

function tryLater(): void {
  const waitMs = Math.min(BACKOFF_MAX_MS, BACKOFF_MS * 2 ** attempts) * (0.5 + Math.random() / 2)
  attempts += 1
  connection.value = { phase: "lost", retryAtMs: performance.now() + waitMs }
  clearTimeout(retry)
  retry = window.setTimeout(connect, waitMs)
}

function closed(code: number, why: ErrorBody | null): void {
  const { phase } = connection.peek()
  if (phase === "signed_out" || phase === "broken" || (isLeaving && code === UNAUTHENTICATED)) return
  if (code !== UNAUTHENTICATED) tryLater()
  else if (why?.code === "not_found") fail(`there is no workspace ${workspaceOfPage()}`)
  else
    renew().then((isSignedIn) => {
      if (isSignedIn) tryLater()
      else connection.value = { phase: "signed_out" }
    }, tryLater)
}

/** This page cannot go on, until it is loaded again. */
export function fail(why: string): void {
  clearTimeout(retry)
  connection.value = { phase: "broken", why }
  link.close()
}

function heard(): void {
  heardAtMs.value = performance.now()
}

function welcomed(hub: Welcome): void {
  attempts = 0
  aheadMs = hub.nowMs - performance.now()
  hubClock.value = hub.nowMs
  welcome.value = hub
  connection.value = { phase: "loading", head: hub.head }
  if (performance.now() - renewedAtMs >= RENEW_MS) renew().catch(() => undefined)
  catchUp(hub.head).catch((error: unknown) => {
    // A connection that broke meanwhile tells of itself.
    if (link.isOpen) fail(failureText(error))
  })
}

/** From the newest snapshot, or from what the page has; then entry by entry. */
async function catchUp(head: Seq): Promise<void> {
  connections += 1
  const mine = connections
  let from = state
  if (from !== null && !(await goesOn(from, head))) from = null
  from ??= (await newestSnapshot(head)) ?? new Workspace()
  // After the awaits: another connection may have come since, which catches up by itself.
  if (mine !== connections) return
  if (from !== state) {
    last = null
    stands.forget()
  }
  state = from
  stands.note(state)
  started.resolve()
  link.subscribe(state.seq + 1)
  changed()
  void askStatus()
}

/** Asked only where there is one: a browser notes every 404 as an error. */
async function newestSnapshot(head: Seq): Promise<Workspace | null> {
  if (head <= FEW_ENTRIES) return null
  const { snapshots, rungs } = await link.call("ledger.snapshots", {})
  return [...snapshots, ...rungs].some(({ seq }) => seq <= head) ? fetchSnapshot(workspaceOfPage(), head) : null
}

/** Whether the hub's ledger is the one that was folded: a hub may come back with another. */
async function goesOn({ seq }: Workspace, head: Seq): Promise<boolean> {
  if (seq > head) return false
  if (last === null) return false
  const { entries } = await link.call("ledger.read", { from: seq, limit: 1 })
  return entries[0] !== undefined && entries[0].bytes === JSON.stringify(last)
}

function arrived(entries: readonly Entry[], from: Seq): void {
  if (state === null) return
  const fresh = entries.slice(Math.max(0, state.seq + 1 - from))
  if (from > state.seq + 1) {
    link.subscribe(state.seq + 1)
    return
  }
  try {
    for (const entry of fresh) foldIn(state, entry)
    stands.note(state)
  } catch (error) {
    fail(failureText(error))
    return
  }
  last = fresh.at(-1) ?? last
  changed()
}

/** What changes within one frame is drawn once. */
function changed(): void {
  if (!isDrawn) return
  isDrawn = false
  requestAnimationFrame(draw)
}

function draw(): void {
  isDrawn = true
  if (state === null) return
  const at = connection.peek()
  if (at.phase === "loading" && state.seq >= at.head) connection.value = { phase: "live" }
  // The past, while it is loaded, is not worth drawing.
  if (connection.peek().phase === "loading") return
  if (livePicture.peek()?.seq !== state.seq || livePicture.peek()?.state !== state)
    livePicture.value = { state, seq: state.seq, atMs: state.atMs, isLive: true }
  if (performance.now() - askedAtMs > ASK_AGAIN_MS) void askStatus()
}

function tick(): void {
  const nowMs = performance.now()
  hubClock.value = aheadMs + nowMs
  if (!link.isOpen) return
  // Behind other tabs it is open all the same.
  if (nowMs - renewedAtMs >= RENEW_MS) renew().catch(() => undefined)
  if (document.visibilityState !== "visible") return
  const seq = hubStatus.peek()?.head.seq ?? 0
  const waitMs = state !== null && seq < state.seq ? ASK_AGAIN_MS : ASK_MS
  if (nowMs - askedAtMs >= waitMs) void askStatus()
}

async function askStatus(): Promise<void> {
  if (isAsking || !link.isOpen) return
  isAsking = true
  askedAtMs = performance.now()
  try {
    hubStatus.value = await link.call("hub.status", {})
  } catch (error) {
    // Silence is a lost connection, whatever the network says of it.
    if (error instanceof SkeinError && error.code === "timed_out") link.close()
  } finally {
    isAsking = false
  }
}
