import { render } from "preact"
import { listenForArrows } from "./arrows.ts"
import { keepFocus } from "./focus.ts"
import { listenForKeys } from "./keys.ts"
import { goLive } from "./live.ts"
import { followAddress } from "./route.ts"
import { followScale } from "./scale.ts"
import { Shell } from "./shell.tsx"
import { restoreTheme } from "./theme.ts"

/** Exchanges the code of a sign-in link for the cookie. From then on the address holds nothing that could be used or shared by mistake. */
async function enter(): Promise<void> {
  const code = location.hash.slice(1)
  const workspace = new URLSearchParams(location.search).get("workspace")
  history.replaceState(null, "", workspace === null ? "/" : `/w/${encodeURIComponent(workspace)}/`)
  // Whatever comes of it: a link that was used already is no reason to turn away who is signed in.
  await fetch("/enter", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ code }) }).catch(() => undefined)
}

restoreTheme()
if (location.pathname === "/enter") await enter()
followAddress()
followScale()
listenForKeys()
listenForArrows()
keepFocus()
goLive()
render(<Shell />, document.getElementById("page") as HTMLElement)
