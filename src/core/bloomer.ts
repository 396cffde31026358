import { deviationOf, LEARNED_MEAN, meanOf, type Observation, observed, type Posterior } from "./posterior.ts"

/**
 * Late bloomers: agents that have become good at what they were bad at (a new model, a better prompt). A Bernoulli CUSUM (Page 1954) on each belief that
 * is low sums the log-likelihood ratio of success at `p1` against `p0` and starts again from 0 where it would fall below; here the sum is kept as the
 * product, so that no logarithm is folded. At `ALARM` = e^3 the old belief is void.
 */
const ALARM = 20.085536923187668
const AFTER_ALARM = { good: 3.2, bad: 0.8 }

/** The rates that the CUSUM tells apart, given the mean so far. */
export function ratesOf(mean: number): { p0: number; p1: number } {
  return { p0: Math.min(mean, 0.6), p1: Math.min(0.95, Math.max(0.75, mean + 0.3)) }
}

/** The belief after one more outcome, and whether that raised the alarm. */
export function learnt(before: Posterior, outcome: Observation): { after: Posterior; bloomed: boolean } {
  const mean = meanOf(before)
  const after = observed(before, outcome)
  if (mean >= LEARNED_MEAN) return { after: { ...after, rise: 1 }, bloomed: false }
  const { p0, p1 } = ratesOf(mean)
  const likelihood = outcome.success ? p1 / p0 : (1 - p1) / (1 - p0)
  const rise = Math.max(1, before.rise * (1 + outcome.weight * (likelihood - 1)))
  if (rise < ALARM) return { after: { ...after, rise }, bloomed: false }
  return { after: { ...after, ...AFTER_ALARM, rise: 1 }, bloomed: true }
}

/** Of all assignments, so many are probes; of the probes, so many follow up a good sign where there is one. */
export const PROBE_SHARE = 0.05
export const FOLLOW_UP_SHARE = 0.6

/** What a probe of one agent in one skill is worth: what it might turn out to be (mean + 2 deviations), times how long nobody looked. */
function probeWorth(belief: Posterior, sinceSeen: number): number {
  return Math.min(0.95, meanOf(belief) + 2 * deviationOf(belief)) * sinceSeen
}

/** Which of `candidates` to probe; -1 for none. With `followUp`, whoever shows the best sign, where anybody does. */
export function chooseProbe(candidates: readonly { belief: Posterior; sinceSeen: number }[], followUp: boolean): number {
  let best = -1
  let worth = 0
  if (followUp) {
    candidates.forEach(({ belief }, at) => {
      if (belief.rise <= 1 || belief.rise <= worth) return
      worth = belief.rise
      best = at
    })
    if (best >= 0) return best
  }
  candidates.forEach(({ belief, sinceSeen }, at) => {
    const here = probeWorth(belief, sinceSeen)
    if (here <= worth) return
    worth = here
    best = at
  })
  return best
}
