import type { Claimed } from "../../src/core/answer.ts"
import { budgetViews } from "../../src/core/budget-view.ts"
import type { AgentId, Seq } from "../../src/core/ids.ts"
import { isHeld } from "../../src/core/task.ts"
import type { Workspace } from "../../src/core/workspace.ts"
import type { Loop } from "../../src/hub/loop.ts"
import type { ClaimNext } from "../../src/core/claim.ts"
import { openNotices } from "../../src/core/directive.ts"
import { unreadOf } from "../../src/core/unread.ts"
import { checkFiles } from "../../src/surface/file-reads.ts"
import { fitting, wrongChoice } from "./choice.ts"
import { TREE } from "./file-oracle.ts"
import { type Oracle, Violation } from "./oracle.ts"
import { unjustified } from "./refusals.ts"
import type { Known, Reply, Request } from "./wire.ts"
import { isMade } from "./talk.ts"
import type { World } from "./world.ts"

/** What must have happened by then: a ready task is claimed by somebody who waits for one, and a lease that is over is ended. In ms. */
const BOUND_MS = 2_500
const EVERY_MS = 250

/** Commands that may rightly leave no entry: the caller has already what it asks for. */
const MAY_BE_SILENT: ReadonlySet<string> = new Set([
  "task.claim",
  "task.claimNext",
  "lease.renew",
  "message.ack",
  "policy.set",
  "wake.setPolicy",
  "breaker.setPolicy",
  "session.end",
  "session.adopt",
  "account.exhausted",
  "account.restored",
  "help.want",
  "help.answer",
  "files.release",
  "plan.add",
  "permission.withdraw",
  "event.ack",
  "thread.join",
  "thread.leave",
  "thread.invite",
  "thread.setStatus",
  "thread.unblock",
  "thread.overrideClose",
])

type Said = { fence?: Seq; seq?: Seq; claims?: Claimed[] }
type Parked = { loop: Loop; request: Request; sinceMs: number }

/** Holds what hubs answer against what the ledger says, and looks again and again whether everything goes on. */
export class Watch {
  acknowledged = 0
  readonly #world: World
  /** The first answer to each key: every later one says the same. */
  readonly #answers = new Map<string, { request: Request; seq: Seq | null; said: string }>()
  readonly #parked = new Set<Parked>()
  /** Since when somebody waits though there is work. */
  readonly #idle = new Map<AgentId, number>()
  #troubleMs = 0

  constructor(world: World) {
    this.#world = world
  }

  /** Something went wrong: time is needed before anything can be expected again. */
  trouble(): void {
    this.#troubleMs = this.#world.clock.monotonicMs()
  }

  start(): void {
    this.#world.clock.after(EVERY_MS, () => {
      this.#look()
      this.start()
    })
  }

  /** A hub has taken a request. Answers the last entry of all, where the hub has read that. */
  taken(request: Request, loop: Loop): Seq | null {
    if (request.name === "task.claimNext" && request.waitMs > 0) this.#parked.add({ loop, request, sinceMs: this.#world.clock.monotonicMs() })
    const { seq } = loop.head
    return seq === this.#world.store.entries.length ? seq : null
  }

  /** A hub answers, at this very moment: what it says MUST be in the ledger now, and a refusal be right by all that it knew, where nothing has come to the ledger since. */
  answered(request: Request, loop: Loop, reply: Reply, { voidSince, asOf }: Known): void {
    for (const parked of this.#parked) if (parked.request === request && parked.loop === loop) this.#parked.delete(parked)
    if (reply.kind === "error" && asOf === this.#world.store.entries.length && asOf === this.#world.oracle.seq) {
      const wrong = unjustified(this.#world.oracle, request, reply.code, loop.nowMs())
      if (wrong !== null) throw new Violation(`${request.name} ${request.key} of ${request.actor.agent} is refused (${reply.code}) at ${asOf}, though ${wrong}`)
    }
    if (reply.kind !== "ok") return
    const { name, key, actor } = request
    if (voidSince !== null) throw new Violation(`${name} ${key} of ${actor.agent} is done, though who asked for it was void since ${voidSince}`)
    const { oracle, store, clock } = this.#world
    if (oracle.seq !== store.entries.length) oracle.read(store.entries, clock.monotonicMs())
    this.acknowledged += 1
    this.#inLedger(oracle, request, reply.output)
  }

  /** An agent hears of it; the second answer to one key is the first one again. */
  heard({ actor, name, key }: Request, output: Said): void {
    const known = this.#answers.get(`${actor.agent} ${key}`)
    const said = saidOf(output)
    if (known !== undefined && known.seq !== null && said !== known.said)
      throw new Violation(`${actor.agent} heard ${said} for ${name} ${key}, which was answered with ${known.said}`)
  }

  /**
   * Whoever is heard of keeps its lease: nobody loses one within two thirds of it after a beat that the hub has taken, nor is lost within three
   * heartbeats. With two hubs the one that ends a lease may not have heard what the other has.
   */
  leaseEnded({ task, session, leaseMs, reason, atMs }: Oracle["leaseEnds"][number]): void {
    const { hosts, clock, oracle } = this.#world
    const [host] = hosts
    if (hosts.length > 1 || host === undefined || host.loop === null || session === null || (reason !== "expired" && reason !== "lost")) return
    const endedMs = atMs - (host.loop.nowMs() - clock.monotonicMs())
    const heartbeatMs = oracle.agents.get(/^s_(.+)_\d+$/.exec(session)?.[1] ?? "")?.heartbeatMs ?? 0
    // One that is lost already is not declared lost again: that its lease ran out is then all that is said of its silence.
    const safeMs = reason === "expired" ? Math.min((2 * leaseMs) / 3, 3 * heartbeatMs) : 3 * heartbeatMs
    const heardMs = host.beats.get(session)?.findLast((ms) => ms < endedMs) ?? Number.NEGATIVE_INFINITY
    if (endedMs - heardMs < safeMs)
      this.#world.broke(new Violation(`the lease on ${task} ended (${reason}) ${endedMs - heardMs} ms after a beat of ${session}`))
  }

  /** After all: nothing that was acknowledged is missing. */
  everythingIsThere(): void {
    for (const [id, { request, seq }] of this.#answers) {
      const caused = this.#world.oracle.caused.get(id)
      if (seq !== null && (caused === undefined || seq < caused.first || seq > caused.last))
        throw new Violation(`${request.name} ${request.key} of ${request.actor.agent} was acknowledged at ${seq} and is gone`)
    }
  }

  #inLedger(oracle: Oracle, request: Request, output: unknown): void {
    const { name, actor, key, input } = request
    const who = `${name} ${key} of ${actor.agent}`
    const { fence, claims, seq } = output as Said
    const taken = fence === undefined || seq !== undefined ? (claims ?? []) : [output as Claimed]
    for (const claim of taken) {
      const entry = oracle.claims.get(claim.fence)
      if (entry?.agent !== actor.agent || entry.task !== claim.task.id)
        throw new Violation(`${who} is answered with fence ${claim.fence}, which the ledger does not have`)
    }
    const caused = oracle.caused.get(`${actor.agent} ${key}`)
    // Whoever is at its limit hears what it holds already, which is older, whatever else its claim has recorded.
    const isClaim = name === "task.claimNext" && caused?.types.includes("task.claimed") === true
    const told = seq ?? (name === "task.claimNext" && !isClaim ? null : claims?.[0]?.fence) ?? fence ?? null
    if (isClaim && caused !== undefined) {
      const first = (claims ?? []).findIndex((claim) => claim.fence < caused.first)
      const claimed = caused.types.filter((type) => type === "task.claimed").length
      if (first >= 0 || claimed !== claims?.length) throw new Violation(`${who} is answered with ${claims?.length} claims, of ${claimed} that it made`)
      const isLast = caused.last === oracle.seq && !caused.types.some((type) => type === "task.released" || type === "lease.ended")
      const wrong = wrongChoice(oracle, request, claims ?? [], isLast)
      if (wrong !== null) throw new Violation(`${who} ${wrong}`)
    }
    if (caused === undefined) {
      if (!MAY_BE_SILENT.has(name)) throw new Violation(`${who} is answered with ok, and the ledger knows nothing of it`)
    } else {
      if (told !== null && (told < caused.first || told > caused.last))
        throw new Violation(`${who} is answered with ${told}, but was done at ${caused.first} to ${caused.last}`)
      const asked = (input as { fence?: Seq }).fence
      // A lease on files is held against the fence of its task by the oracle, entry by entry.
      const ofTask = asked !== undefined && !name.startsWith("files.")
      if (ofTask && asked !== caused.fence) throw new Violation(`${who} was taken under fence ${asked}, though ${caused.fence} held the task`)
    }
    const { permission } = output as { permission?: Seq }
    if (permission !== undefined && permission !== caused?.first)
      throw new Violation(`${who} is told that it asked at ${permission}, which was at ${caused?.first}`)
    if (name === "message.post") {
      const { thread, message } = output as { thread: string; message: number }
      if (oracle.threads.messages.get(thread)?.[message - 1] !== caused?.first)
        throw new Violation(`${who} is answered with message ${message} of ${thread}, which is another`)
    }
    const id = `${actor.agent} ${key}`
    if (!this.#answers.has(id)) this.#answers.set(id, { request, seq: caused === undefined ? null : told, said: saidOf(output as Said) })
  }

  #look(): void {
    const { world } = { world: this.#world }
    const nowMs = world.clock.monotonicMs()
    for (const parked of this.#parked)
      if (!world.hosts.some(({ loop }) => loop === parked.loop) || nowMs > parked.sinceMs + parked.request.waitMs + 1_000) this.#parked.delete(parked)
    if (world.hosts.some((host) => host.clock.stopped)) this.trouble()
    this.#waitInVain(nowMs)
    if (nowMs - this.#troubleMs > BOUND_MS) this.#overdue()
    for (const { loop } of world.hosts) {
      if (loop === null) continue
      loop
        .read((state, readMs) => this.#agree(state, readMs, () => world.hosts.some((host) => host.loop === loop)))
        .catch((error: unknown) => (error instanceof Violation ? world.broke(error) : undefined))
    }
  }

  /** No ready task stays unclaimed while somebody who can do it waits. */
  #waitInVain(nowMs: number): void {
    const { oracle } = this.#world
    const waiting = new Set<AgentId>()
    for (const { request, loop } of this.#parked) {
      const { agent } = request.actor
      const [work] = fitting(oracle, request.actor, request.input as ClaimNext, loop.nowMs())
      if (work === undefined) continue
      waiting.add(agent)
      const sinceMs = Math.max(this.#idle.get(agent) ?? nowMs, this.#troubleMs)
      this.#idle.set(agent, sinceMs)
      if (nowMs - sinceMs > BOUND_MS) this.#world.broke(new Violation(`${agent} has waited ${nowMs - sinceMs} ms though ${work.id} is ready`))
    }
    for (const agent of this.#idle.keys()) if (!waiting.has(agent)) this.#idle.delete(agent)
  }

  /** Leases end, and so does the time to hand over. */
  #overdue(): void {
    const { hosts, oracle } = this.#world
    const loop = hosts.find(({ loop: running }) => running !== null)?.loop ?? null
    if (loop === null) return
    const nowMs = loop.nowMs()
    for (const { id, held } of oracle.tasks.values()) {
      if (held === null || held.leaseEndsAtMs === null) continue
      if (nowMs - held.leaseEndsAtMs > BOUND_MS)
        this.#world.broke(new Violation(`the lease of ${held.owner} on ${id} should have ended ${nowMs - held.leaseEndsAtMs} ms ago`))
      const stopAtMs = oracle.budget.held.get(id)?.stopAtMs ?? null
      if (stopAtMs !== null && nowMs - stopAtMs > BOUND_MS)
        this.#world.broke(new Violation(`${held.owner} should have handed ${id} over ${nowMs - stopAtMs} ms ago, and still has it`))
    }
    const unanswered = oracle.permissions.overdue(nowMs - BOUND_MS)
    if (unanswered !== null)
      this.#world.broke(new Violation(`what ${unanswered.agent} asked at ${unanswered.id} should have been refused ${nowMs - unanswered.untilMs} ms ago`))
    const files = oracle.files.overdue(nowMs - BOUND_MS)
    if (files !== null) this.#world.broke(new Violation(`lease ${files.lease} of ${files.agent} should have ended ${files.sinceMs + BOUND_MS} ms ago`))
  }

  /** What a hub has in its books is what the entries say: nothing is counted twice, and nothing stays reserved for nobody. */
  #agreeOnMoney(state: Workspace, nowMs: number): void {
    const { books, held } = this.#world.oracle.budget
    if (state.reservations.size !== held.size) throw new Violation(`${state.reservations.size} claims have money set aside, not ${held.size}`)
    if (state.budgets.size !== books.size) throw new Violation(`there are ${state.budgets.size} budgets, not ${books.size}`)
    for (const [task, { left }] of held) {
      const kept = Object.entries(state.reservations.get(task)?.left ?? {})
      if (kept.length !== left.size || kept.some(([id, amount]) => left.get(id) !== amount))
        throw new Violation(`the claim of ${task} has ${listed(kept)} set aside, not ${listed(left)}`)
    }
    for (const view of budgetViews(state, null, nowMs)) {
      const { limitMicroUsd, settledMicroUsd, overrunMicroUsd, reservedMicroUsd, closedAtMs } = view
      const shown = [limitMicroUsd, settledMicroUsd, overrunMicroUsd, reservedMicroUsd, closedAtMs !== null].join(" ")
      const said = this.#world.oracle.budget.sums(view.budget, nowMs)
      if (shown !== said) throw new Violation(`the books of budget ${view.budget} (limit, settled, overrun, reserved, closed) are ${shown}, not ${said}`)
    }
  }

  /** Who may edit what, as the git guard asks, and who holds which lease until when. Agents take turns: one look is for one of them. */
  #agreeOnFiles(state: Workspace, nowMs: number): void {
    const { oracle, agents } = this.#world
    const { files } = oracle
    const orphan = files.orphan()
    if (orphan !== null) throw new Violation(orphan)
    if (state.files.size !== files.leases.size) throw new Violation(`there are ${state.files.size} leases on files, not ${files.leases.size}`)
    for (const [id, { agent, session, endsAtMs }] of files.leases) {
      const lease = state.files.get(id)
      if (lease?.agent !== agent || lease.session !== session || lease.endsAtMs !== endsAtMs)
        throw new Violation(`lease ${id} is ${lease?.agent}'s (${lease?.session}) until ${lease?.endsAtMs}, not ${agent}'s (${session}) until ${endsAtMs}`)
    }
    const { actor } = agents[state.seq % agents.length] as World["agents"][number]
    const checked = checkFiles(state, actor, { paths: [...TREE], write: true }, nowMs)
    for (const { path, allowed, mine } of checked.paths) {
      const said = files.mayEdit(actor.agent, path, nowMs, (task) => oracle.tasks.get(task)?.held?.leaseEndsAtMs ?? null)
      if (allowed !== said.allowed || mine !== said.mine)
        throw new Violation(`${actor.agent} is told of ${path}: allowed ${allowed}, its own ${mine}, not ${said.allowed}, ${said.mine}`)
    }
  }

  /** The hub's state is what the entries say, and tasks are neither lost nor made. */
  #agree(state: Workspace, nowMs: number, runs: () => boolean): void {
    const { oracle, store } = this.#world
    if (!runs()) return
    if (state.seq > store.entries.length) throw new Violation(`a reader is shown entry ${state.seq}, and the ledger holds ${store.entries.length}`)
    if (state.seq !== oracle.seq) return
    const { counts } = state.board
    const expected = oracle.counts()
    for (const [status, count] of Object.entries(counts))
      if (count !== (expected[status] ?? 0)) throw new Violation(`${count} tasks are ${status}, not ${expected[status] ?? 0}`)
    if (state.tasks.size !== oracle.tasks.size) throw new Violation(`there are ${state.tasks.size} tasks, not ${oracle.tasks.size}`)
    this.#agreeOnMoney(state, nowMs)
    this.#agreeOnFiles(state, nowMs)
    const { name, actor } = this.#world.agents[state.seq % this.#world.agents.length] as World["agents"][number]
    const { role } = actor
    const unread = unreadOf(state, { agent: name, role }).flatMap(({ thread, unread: count }) => (isMade(thread) ? [[thread, count] as const] : []))
    const said = oracle.threads.unread(name)
    if (unread.length !== said.size || unread.some(([thread, count]) => said.get(thread) !== count))
      throw new Violation(`${name} has ${listed(unread)} to read, not ${listed(said)}`)
    const waiting = openNotices(state, { agent: name, session: null, role }).map(({ seq }) => seq)
    const owed = oracle.notices.open(name, role)
    if (waiting.join(" ") !== owed.join(" ")) {
      const [more, less] = [waiting.filter((seq) => !owed.includes(seq)), owed.filter((seq) => !waiting.includes(seq))]
      throw new Violation(`${name} has the notices ${more.join(" ") || "of nobody"} to acknowledge, not ${less.join(" ") || "none"}`)
    }
    const broken = oracle.staff.breakers.differs(state.breakers) ?? oracle.staff.sessions.differs(state.sessions)
    if (broken !== null) throw new Violation(broken)
    const turned = oracle.circles.differs((id) => state.threads.get(id))
    if (turned !== null) throw new Violation(turned)
    for (const [id, messages] of oracle.threads.messages) {
      const head = state.threads.get(id)?.head
      if (head !== messages.length) throw new Violation(`thread ${id} has ${head} messages, not ${messages.length}`)
    }
    for (const { id, status, held, attempts, readySinceMs } of oracle.tasks.values()) {
      const task = state.tasks.get(id)
      if (task === undefined || task.status !== status) throw new Violation(`task ${id} is ${task?.status}, not ${status}`)
      if (task.attempts !== attempts) throw new Violation(`task ${id} has ${task.attempts} attempts behind it, not ${attempts}`)
      if (state.board.isReady(id) !== (readySinceMs !== null))
        throw new Violation(`task ${id} is ${readySinceMs === null ? "not " : ""}ready, and the board says otherwise`)
      if (!isHeld(status)) continue
      if (task.owner !== held?.owner || task.fence !== held?.fence || task.leaseEndsAtMs !== held?.leaseEndsAtMs)
        throw new Violation(`task ${id} is held otherwise than the ledger says`)
    }
  }
}

/** What an answer says of where it is recorded: of a claim of several, all of them. */
function saidOf({ seq, fence, claims }: Said): string {
  return String(seq ?? fence ?? claims?.map((claim) => claim.fence).join(" ") ?? null)
}

function listed(amounts: Iterable<readonly [string, number]>): string {
  return [...amounts].map(([budget, amount]) => `${amount} in ${budget}`).join(", ") || "nothing"
}
