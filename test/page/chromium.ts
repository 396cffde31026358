import { existsSync } from "node:fs"
import { delimiter, join } from "node:path"
import { type Browser, chromium } from "playwright-core"

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
/** With them each page that is opened has an address bar with two pages of its own in it: two thirds of a second of the processor's time. */
const ADDRESS_BAR = ["WebUIOmniboxPopup", "WebUIOmniboxAimPopup"]
/** What Playwright would have off as well: of two such lists Chromium obeys the last. */
const OFF = [
  "AimEnabled",
  "AvoidCorsURLLoaderRestartOnRedirect",
  "AvoidUnnecessaryBeforeUnloadCheckSync",
  "DestroyProfileOnBrowserClose",
  "HttpsFirstBalancedModeAutoEnable",
  "HttpsUpgrades",
  "LensOverlay",
  "MediaRouter",
  "NetworkTimeServiceQuerying",
  "OptimizationHints",
  "PaintHolding",
  "PreconnectToSearch",
  "ThirdPartyStoragePartitioning",
  // Else each page that is opened starts a process more, for one that may come.
  "SpareRendererForSitePerProcess",
  ...ADDRESS_BAR,
]
/** A sandbox needs rights that a container does not give; nothing but the hub is ever opened. */
const ARGS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  `--disable-features=${OFF.join(",")}`,
]

/** The browser to test with: `SKEIN_CHROMIUM`, else what the path has; null where there is none. */
export function findChromium(): string | null {
  const given = process.env["SKEIN_CHROMIUM"]
  if (given !== undefined && given !== "") return given
  for (const folder of (process.env["PATH"] ?? "").split(delimiter)) {
    const found = NAMES.map((name) => join(folder, name)).find((path) => existsSync(path))
    if (found !== undefined) return found
  }
  return null
}

/** Starts it, without a window. Throws where there is none. `args`: further flags; `TMPDIR`: where it puts what it does not remove when it is killed. */
export function launchChromium(args: readonly string[] = [], TMPDIR?: string): Promise<Browser> {
  const executablePath = findChromium()
  if (executablePath === null) throw new Error("there is no Chromium: install it, or name it in SKEIN_CHROMIUM")
  return chromium.launch({ executablePath, args: [...ARGS, ...args], ...(TMPDIR === undefined ? {} : { env: { ...process.env, TMPDIR } }) })
}
