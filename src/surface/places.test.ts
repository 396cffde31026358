import fc from "fast-check"
import { expect, test } from "vitest"
import { type Place, Places, type Who } from "./places.ts"

type Guest = { id: number; isIdle: boolean; isLookedAt: boolean }

const OPERATOR: Who = { workspace: "main", actor: { agent: "operator", role: "operator" } }
const who = (agent: string, workspace = "main"): Who => ({ workspace, actor: { agent, role: "worker" } })

function places(agentsMax = 8, strangersMax = 3): Places<Guest> {
  return new Places({ agentsMax, strangersMax, isIdle: ({ isIdle }) => isIdle, isLookedAt: ({ isLookedAt }) => isLookedAt })
}

const guest = (id: number, isIdle = false): Guest => ({ id, isIdle, isLookedAt: false })
const ids = (found: readonly Place<Guest>[]): number[] => found.map(({ guest: { id } }) => id)

test("of strangers the longest here gives way to who comes; who came since the last round, and who is being looked at, stays", () => {
  const all = places(0)
  const [first, ...rest] = [1, 2, 3, 4, 5].map((id) => all.enter(guest(id)))
  expect(ids(all.round())).toEqual([])
  ;(first as Place<Guest>).guest.isLookedAt = true
  all.enter(guest(6))
  expect(ids(all.round())).toEqual([2, 3, 4])
  expect(all.isCrowded).toBe(false)
  expect(rest.map(({ status }) => status)).toEqual(["gone", "gone", "gone", "stranger"])
})

test("of strangers that are being looked at no more stay than as many again", () => {
  const all = places(0)
  for (let id = 0; id < 10; id += 1) all.enter({ id, isIdle: false, isLookedAt: true })
  all.round()
  expect(ids(all.round())).toEqual([0, 1, 2, 3])
  expect(all.round()).toEqual([])
})

test("an agent has a quarter of the places, of all workspaces each; its own oldest idle one gives way, and where none is it is refused", () => {
  const all = places()
  const [one, two, three] = [1, 2, 3].map((id) => all.enter(guest(id))) as [Place<Guest>, Place<Guest>, Place<Guest>]
  expect(all.know(one, who("ada"))).toBeNull()
  expect(all.know(two, who("ada"))).toBeNull()
  expect(all.know(three, who("ada"))).toEqual({ refused: "agent" })
  expect(three.status).toBe("stranger")
  expect(all.know(three, who("ada", "other"))).toBeNull()
  one.guest.isIdle = two.guest.isIdle = true
  expect(all.know(three, who("ada"))).toEqual({ ends: one })
  expect(all.agents).toBe(2)
})

test("where agents have all places the oldest idle one gives way, and the operator is not counted", () => {
  const all = places(4)
  const seated = ["a", "b", "c", "d"].map((agent, id) => {
    const place = all.enter(guest(id))
    all.know(place, who(agent))
    return place
  })
  const late = all.enter(guest(9))
  expect(all.know(late, who("e"))).toEqual({ refused: "all" })
  ;(seated[2] as Place<Guest>).guest.isIdle = true
  expect(all.know(late, who("e"))).toEqual({ ends: seated[2] })
  for (let id = 10; id < 30; id += 1) expect(all.know(all.enter(guest(id)), OPERATOR)).toBeNull()
  expect([all.agents, all.strangers]).toEqual([4, 0])
})

test("strangers have the places that agents do not use, until they do", () => {
  const all = places(4)
  const seats = Array.from({ length: 8 }, (_, id) => all.enter(guest(id)))
  all.round()
  expect(ids(all.round())).toEqual([0])
  expect(all.isCrowded).toBe(false)
  all.know(seats[7] as Place<Guest>, who("a"))
  expect(all.isCrowded).toBe(false)
  all.know(all.enter(guest(8)), who("b"))
  expect(ids(all.round())).toEqual([1])
})

test("a connection that broke while it was looked at who asks takes no place", () => {
  const all = places()
  const place = all.enter(guest(1))
  all.leave(place)
  expect(all.know(place, who("ada"))).toBeNull()
  expect([all.agents, place.status]).toEqual([0, "gone"])
  expect(all.know(place, OPERATOR)).toBeNull()
  expect(place.status).toBe("gone")
  all.leave(place)
  expect([all.agents, all.strangers, place.status]).toEqual([0, 0, "gone"])
})

type Step = { kind: "enter" } | { kind: "leave" | "know" | "idle" | "busy" | "look"; at: number; agent: number } | { kind: "round" }
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant("enter" as const) }),
  fc.record({ kind: fc.constantFrom("leave", "know", "know", "know", "idle", "busy", "look" as const), at: fc.nat(40), agent: fc.nat(5) }),
  fc.record({ kind: fc.constant("round" as const) }),
)

test("whatever comes and goes, nobody has more than it may, nobody is sent away while something is under way, and no place is lost", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200, size: "max" }), (steps) => {
      const all = places()
      const open = new Map<Place<Guest>, string | null>()
      let opened = 0
      for (const given of steps) {
        if (given.kind === "enter") open.set(all.enter(guest(opened++)), null)
        else if (given.kind === "round") {
          const before = [...open].filter(([, owner]) => owner === null).map(([place]) => place)
          const gone = all.round()
          for (const place of gone) {
            expect(open.get(place)).toBeNull()
            open.delete(place)
          }
          // Nobody gives way who need not, and whoever stays is no longer here than who goes.
          if (gone.length > 0) expect(before.length - gone.length).toBeGreaterThanOrEqual(3 + 8 - all.agents)
          if (before.length <= 6 + 8 - all.agents) expect(gone.some(({ guest: { isLookedAt: held } }) => held)).toBe(false)
          const stay = before.filter((place) => !gone.includes(place) && !place.guest.isLookedAt).map(({ guest: { id } }) => id)
          for (const id of ids(gone)) expect(stay.every((other) => other > id)).toBe(true)
        } else {
          const place = [...open.keys()][given.at]
          if (place === undefined) continue
          if (given.kind === "leave") {
            all.leave(place)
            open.delete(place)
          } else if (given.kind === "know") {
            const agent = given.agent === 5 ? "operator" : `a${given.agent}`
            const decision = all.know(place, agent === "operator" ? OPERATOR : who(agent))
            if (decision !== null && "ends" in decision) {
              expect(decision.ends.guest.isIdle).toBe(true)
              expect(decision.ends).not.toBe(place)
              open.delete(decision.ends)
            }
            if (decision === null || "ends" in decision) open.set(place, agent)
          } else if (given.kind === "look") place.guest.isLookedAt = !place.guest.isLookedAt
          else place.guest.isIdle = given.kind === "idle"
        }
        const owners = [...open.values()]
        const counts = ["a0", "a1", "a2", "a3", "a4"].map((agent) => owners.filter((owner) => owner === agent).length)
        expect(Math.max(...counts)).toBeLessThanOrEqual(all.agentMax)
        expect(all.agents).toBe(counts.reduce((sum, count) => sum + count))
        expect(all.agents).toBeLessThanOrEqual(8)
        expect(all.strangers).toBe(owners.filter((owner) => owner === null).length)
      }
      for (const place of open.keys()) all.leave(place)
      expect([all.agents, all.strangers]).toEqual([0, 0])
    }),
  )
})
