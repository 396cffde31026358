import type { IncomingMessage, ServerResponse } from "node:http"
import { SkeinError } from "../contract/errors.ts"
import type { Arriving } from "./arriving.ts"
import { type Auth, OPERATOR } from "./auth.ts"
import { PageFiles } from "./page-files.ts"
import { LINK_MS, PAGE_SESSION_MS } from "./page-sessions.ts"
import { allow, bearerOf, cookieOf, isFromPage, isLoopback, readJson, sendJson } from "./request.ts"

const BODY_MAX_BYTES = 4 * 1024

/**
 * The web page: its files, and how it signs in. `POST /enter/link` with the operator's credential makes a link `/enter#CODE`; the page that it opens
 * posts the code to `/enter` and is given a cookie. The code is behind the `#`, so that no request line, log or referrer ever holds it.
 */
export class Page {
  readonly #auth: Auth
  readonly #files: PageFiles
  readonly #arriving: Arriving
  readonly #left: (signIn: string) => void

  /** `left`: hears of each sign-in that was ended. */
  constructor(auth: Auth, arriving: Arriving, left: (signIn: string) => void, directory?: string) {
    this.#auth = auth
    this.#arriving = arriving
    this.#left = left
    this.#files = new PageFiles(directory)
  }

  /** Whether an address is the page's. */
  owns(pathname: string): boolean {
    return pathname === "/" || pathname === "/enter" || pathname === "/enter/link" || pathname === "/leave" || /^\/(assets|w)\//.test(pathname)
  }

  serve(request: IncomingMessage, response: ServerResponse, pathname: string): Promise<void> {
    if (pathname === "/enter/link") return this.#link(request, response)
    if (pathname === "/leave") return this.#leave(request, response)
    if (pathname === "/enter" && request.method === "POST") return this.#enter(request, response)
    allow(request, "GET")
    return pathname.startsWith("/assets/") ? this.#files.asset(request, response, pathname.slice("/assets/".length)) : this.#files.index(request, response)
  }

  async #link(request: IncomingMessage, response: ServerResponse): Promise<void> {
    allow(request, "POST")
    const caller = await this.#auth.caller(bearerOf(request), { workspace: null, session: null, loopback: isLoopback(request) })
    if (caller.actor.agent !== OPERATOR || caller.credential !== OPERATOR)
      throw new SkeinError("forbidden", "only the operator's own credential opens the page", "Run `skein dash` where the hub's .skein directory is.")
    const { code, expiresAtMs } = this.#auth.page.makeLink()
    sendJson(response, 200, { path: `/enter#${code}`, expiresAtMs, lastsMs: LINK_MS })
  }

  /** With a code: signs in. Without one, by the cookie that is there: renews it. */
  async #enter(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isFromPage(request)) throw foreign()
    const { code } = ((await readJson(request, BODY_MAX_BYTES, this.#arriving)) ?? {}) as { code?: unknown }
    const { page } = this.#auth
    const { value, expiresAtMs } = typeof code === "string" ? await page.redeem(code) : await page.renew(cookieOf(request, page.cookieName) ?? "")
    sendJson(response, 200, { agent: OPERATOR, expiresAtMs }, { "Set-Cookie": this.#cookie(request, value, Math.floor(PAGE_SESSION_MS / 1_000)) })
  }

  async #leave(request: IncomingMessage, response: ServerResponse): Promise<void> {
    allow(request, "POST")
    if (!isFromPage(request)) throw foreign()
    const { page } = this.#auth
    const value = cookieOf(request, page.cookieName) ?? ""
    const signIn = (await page.verify(value).catch(() => null))?.signIn
    // Also where it could not be kept: this browser has no more need of it.
    response.setHeader("Set-Cookie", this.#cookie(request, "", 0))
    try {
      await page.leave(value)
    } finally {
      if (signIn !== undefined) this.#left(signIn)
    }
    sendJson(response, 200, { left: true })
  }

  #cookie({ headers }: IncomingMessage, value: string, lastsSec: number): string {
    // Behind a proxy that speaks TLS the cookie is for TLS alone; plain loopback has none.
    const secure = headers.origin?.startsWith("https:") === true ? "; Secure" : ""
    return `${this.#auth.page.cookieName}=${value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${lastsSec}${secure}`
  }
}

function foreign(): SkeinError {
  return new SkeinError("origin_refused", "this address is for the hub's own page", "Open the page with `skein dash`.", {})
}
