import { UsageError } from "../failure.ts"
import { didYouMean } from "../spelling.ts"

/** What befalls a simulated team. The first three are chances an attempt, 0 to 1; `outage` is the length in ms of one time in which a model answers nobody. */
export type Faults = { crash: number; throttle: number; fail: number; outage: number }

const NAMES = ["crash", "throttle", "fail", "outage"] as const
const MINUTE_MS = 60_000

const PRESETS: Readonly<Record<string, Faults>> = {
  none: { crash: 0, throttle: 0, fail: 0, outage: 0 },
  some: { crash: 0.02, throttle: 0.02, fail: 0.05, outage: 0 },
  storm: { crash: 0.1, throttle: 0.1, fail: 0.2, outage: 60 * MINUTE_MS },
}

/** `none`, `some`, `storm`, or a list such as `crash=0.05,fail=0.1,outage=30` (minutes); what a list leaves out does not happen. Throws `UsageError`. */
export function parseFaults(text: string): Faults {
  const preset = Object.hasOwn(PRESETS, text) ? PRESETS[text] : undefined
  if (preset !== undefined) return preset
  const faults = { crash: 0, throttle: 0, fail: 0, outage: 0 }
  for (const part of text.split(",")) {
    const [, name = "", number = ""] = /^\s*(\w+)\s*=\s*(\d+(?:\.\d+)?)\s*$/.exec(part) ?? []
    const known = NAMES.find((one) => one === name)
    if (known === undefined)
      throw new UsageError(
        `${JSON.stringify(part.trim())} is no fault`,
        `${didYouMean(name === "" ? part.trim() : name, [...NAMES, ...Object.keys(PRESETS)])}Write none, some, storm, or a list: crash=0.05,throttle=0.02,fail=0.1,outage=30`,
      )
    const value = Number(number)
    if (known === "outage" ? value > 24 * 60 : value > 1)
      throw new UsageError(`${known} cannot be ${number}`, known === "outage" ? "Write minutes, 1440 at the most." : "Write the chance of an attempt, 0 to 1.")
    faults[known] = known === "outage" ? value * MINUTE_MS : value
  }
  return faults
}

/** Whether nothing ever goes wrong. */
export function isCalm(faults: Faults): boolean {
  return NAMES.every((name) => faults[name] === 0)
}

export function showFaults(faults: Faults): string {
  const preset = Object.entries(PRESETS).find(([, { crash, throttle, fail, outage }]) => {
    return crash === faults.crash && throttle === faults.throttle && fail === faults.fail && outage === faults.outage
  })
  const said = NAMES.map((name) => `${name}=${name === "outage" ? faults.outage / MINUTE_MS : faults[name]}`).join(",")
  return preset === undefined ? said : preset[0] === "none" ? "none" : `${preset[0]} (${said})`
}
