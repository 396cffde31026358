import { spawn } from "node:child_process"
import type { Command } from "commander"
import { readIdentity } from "../client/identity.ts"
import { errorFrom, noHub, postJson } from "../client/post.ts"
import { act, examples, type Context } from "./context.ts"

const LINK_TIMEOUT_MS = 10_000

/** What opens an address in the user's browser, by platform. */
const OPENERS: Partial<Record<NodeJS.Platform, readonly [string, ...string[]]>> = {
  darwin: ["open"],
  win32: ["cmd", "/c", "start", ""],
}

/** `skein dash`: opens the page. */
export function register(program: Command): void {
  program
    .command("dash")
    .description("Open the page in the browser, signed in: the whole flight, live and at any moment of the past. The link works once, for two minutes.")
    .option("--no-open", "print the link, and open nothing")
    .addHelpText(
      "after",
      examples(
        ["skein dash", "in the browser of this machine"],
        ["skein dash --no-open", "the link alone: open it where your browser is, through a tunnel say"],
      ),
    )
    .action(act(dash))
}

async function dash(context: Context, { open }: { open: boolean }): Promise<void> {
  const hub = await context.hub()
  const { url, identity } = hub
  // A link to a workspace that is not there would be told so in the browser only.
  await hub.call("ledger.head", {})
  const { status, body } = await postJson(
    new URL("/enter/link", url),
    {},
    {
      headers: { Authorization: `Bearer ${await readIdentity(identity)}` },
      timeoutMs: LINK_TIMEOUT_MS,
    },
  )
  if (status !== 200) throw errorFrom(body)
  const { path, expiresAtMs } = body as { path?: unknown; expiresAtMs?: unknown }
  if (typeof path !== "string" || !path.startsWith("/enter")) throw noHub(new URL(url), "no sign-in link")
  const { workspace } = context
  const link = new URL(path, url)
  if (workspace !== "main") link.searchParams.set("workspace", workspace)
  const opened = open && (await openInBrowser(link.href))
  const words = opened ? "opened the page" : "open this within two minutes; it works once"
  context.terminal.answer({ url: link.href, expiresAtMs, opened }, `${words}: ${link.href}`)
}

/** Whether the platform's opener took the address. */
function openInBrowser(address: string): Promise<boolean> {
  // Without a display there is nothing to open it with but a browser in this very terminal.
  if (process.platform === "linux" && !process.env["DISPLAY"] && !process.env["WAYLAND_DISPLAY"] && !process.env["BROWSER"]) return Promise.resolve(false)
  const [command, ...args] = OPENERS[process.platform] ?? ["xdg-open"]
  return new Promise((resolve) => {
    const child = spawn(command, [...args, address], { stdio: "ignore", detached: true })
    child.once("error", () => resolve(false))
    child.once("spawn", () => {
      child.unref()
      resolve(true)
    })
  })
}
