/** Money is counted in whole micro-USD, the only currency there is, and shown as dollars in these two ways alone. */

/** As it is shown: to the cent, `$1,234.50`; under a cent as exactly as it is worth, `$0.000034`. */
export function showUsd(microUsd: number): string {
  return dollars(microUsd, Math.abs(microUsd) < 10_000 ? 6 : 2)
}

/** As it is decided by, to the millionth: a claim is refused for one. `$0.60`, `$0.482134`. */
export function exactUsd(microUsd: number): string {
  return dollars(microUsd, 6)
}

function dollars(microUsd: number, decimals: number): string {
  const [whole = "", rest = ""] = (Math.abs(microUsd) / 1e6).toFixed(decimals).split(".")
  const sign = microUsd < 0 ? "-" : ""
  return `${sign}$${whole.replace(/\B(?=(\d{3})+$)/g, ",")}.${rest.replace(/0+$/, "").padEnd(2, "0")}`
}
