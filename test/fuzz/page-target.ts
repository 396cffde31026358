import { addressOf, parseRoute, type Route } from "../../src/dashboard/address.ts"
import type { Choices } from "./choices.ts"
import { Broken, type Subject, type Target } from "./campaign.ts"
import { mutateText, oddText } from "./mutation.ts"

/** A link to the page that somebody was sent. */
export const pageTarget: Target = {
  name: "page",
  entrance: "the page's address",
  casesPerSubject: 2_000,
  open: () => Promise.resolve(new PageSubject()),
}

const HASHES = ["#/plan/orders.1%2Fstore?state=failed@1234", "#/threads/a/b?q=x&at=12", "#/ledger/12?type=task.claimed&actor=ann@3", "#/files?path=src%2F", "#"]

class PageSubject implements Subject {
  #sent = ""

  describe(): string {
    return this.#sent
  }

  async attempt(choices: Choices): Promise<string> {
    let hash: string = choices.pick(HASHES)
    for (let changes = choices.below(4); changes > 0; changes -= 1) hash = mutateText(hash, choices)
    // What a browser gives is well-formed.
    hash = (choices.chance(20) ? `#/plan/${oddText(choices)}@${oddText(choices)}` : hash).toWellFormed()
    this.#sent = JSON.stringify(hash)
    const route = parseRoute(hash)
    check(route)
    const { parts, moment } = route
    const again = parseRoute(addressOf(route))
    if (JSON.stringify(again) !== JSON.stringify(route)) throw new Broken(`${JSON.stringify(route)} is ${JSON.stringify(again)} where its own link leads to`)
    return `${parts.length === 0 ? "a view" : "a part"}, ${moment === "live" ? "now" : "then"}`
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}

function check({ view, parts, filters, moment }: Route): void {
  if (view === "" || parts.includes("")) throw new Broken("a view, or a part, without a name")
  if (moment !== "live" && !(Number.isSafeInteger(moment) && moment > 0)) throw new Broken(`the moment ${moment}`)
  for (const value of Object.values(filters)) if (typeof value !== "string") throw new Broken(`a filter ${JSON.stringify(value)}`)
}
