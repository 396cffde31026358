/**
 * Every decision of a fuzz case, as whole numbers. Drawn from a seed they make the case; replayed they make it again; with some left out or made
 * smaller they make a simpler one. So one way of reducing serves every target: simpler choices, the same fault. (D. MacIver, "Test-Case Reduction via
 * Test-Case Generation".) Where a replay has no more numbers it says 0, which MUST be the simplest choice everywhere.
 */
export class Choices {
  /** What was decided so far. */
  readonly made: number[] = []
  readonly #replay: readonly number[] | null
  #state: number

  private constructor(seed: number, replay: readonly number[] | null) {
    this.#state = seed >>> 0
    this.#replay = replay
  }

  static from(seed: number): Choices {
    return new Choices(Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b), null)
  }

  static again(made: readonly number[]): Choices {
    return new Choices(0, made)
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    if (count <= 1) return 0
    const chosen = this.#replay === null ? this.#random() % count : Math.min(this.#replay[this.made.length] ?? 0, count - 1)
    this.made.push(chosen)
    return chosen
  }

  between(least: number, most: number): number {
    return least + this.below(most - least + 1)
  }

  /** True in about `percent` of 100 cases; the simplest choice is false. */
  chance(percent: number): boolean {
    return this.below(100) >= 100 - percent
  }

  pick<Item>(items: readonly Item[]): Item {
    return items[this.below(items.length)] as Item
  }

  /** Mostly small, now and then large: lengths and counts. */
  size(most: number): number {
    return this.below(Math.min(most, [3, 10, 100, most][this.below(4)] as number) + 1)
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count)
    for (let at = 0; at < count; at += 1) bytes[at] = this.below(256)
    return bytes
  }

  /** mulberry32: 32 bits a call. */
  #random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let bits = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return (bits ^ (bits >>> 14)) >>> 0
  }
}

/**
 * The simplest choices found for which `fails` still holds: stretches are left out, then numbers made smaller, until nothing helps or `deadlineMs`
 * (on `performance.now()`) has come.
 */
export async function reduce(made: readonly number[], fails: (choices: Choices) => Promise<boolean>, deadlineMs: number): Promise<number[]> {
  let best = [...made]
  const tries = async (candidate: readonly number[]): Promise<boolean> => {
    if (performance.now() > deadlineMs) return false
    const choices = Choices.again(candidate)
    if (!(await fails(choices))) return false
    // What was read counts, not what was offered.
    best = choices.made.length <= candidate.length ? [...choices.made] : [...candidate]
    return true
  }
  for (let before = Number.POSITIVE_INFINITY; weight(best) < before && performance.now() < deadlineMs;) {
    before = weight(best)
    for (let length = Math.ceil(best.length / 2); length >= 1; length = Math.floor(length / 2))
      for (let at = best.length - length; at >= 0; at -= length) if (at < best.length) await tries(best.toSpliced(at, length))
    for (let at = 0; at < best.length; at += 1) {
      if (best[at] !== 0 && !(await tries(best.with(at, 0)))) {
        const value = best[at] as number
        if (value > 1 && !(await tries(best.with(at, value >> 1)))) await tries(best.with(at, value - 1))
      }
    }
  }
  return best
}

/** Fewer choices are simpler; among equally many, smaller ones. */
function weight(made: readonly number[]): number {
  return made.length + made.reduce((sum, value) => sum + value / 2 ** 33, 0)
}
