import { createHash, createPublicKey, type KeyObject, randomBytes } from "node:crypto"
import { jwtVerify, SignJWT } from "jose"
import { SkeinError } from "../contract/errors.ts"
import { FORGOTTEN, type SignOutStore } from "./sign-outs.ts"

/** How long a sign-in link can be used, in ms: until the browser that it opens is up. */
export const LINK_MS = 2 * 60_000
/** How long the page stays signed in without being open, in ms; while it is open the cookie is renewed. */
export const PAGE_SESSION_MS = 12 * 3_600_000
/** Links that may be open at once: the oldest gives way. */
const LINKS_MAX = 100
/** Another issuer than that of tokens: a cookie is no bearer, and a bearer no cookie. */
const ISSUER = "skein-page"

export type PageSessionsOptions = {
  /** Ed25519; signs the cookies. */
  key: KeyObject
  /** `hashCredential` of the operator's credential: a cookie is void when that was replaced. */
  operatorHash: string
  /** The wall clock, in ms since 1970. */
  wallMs: () => number
  /** Where sign-outs are kept; by default in memory alone. */
  signOuts?: SignOutStore
}

/**
 * Who the page is: a one-time link, which only the operator's credential is given, is exchanged for a cookie that says "the operator". Links live in
 * memory and die with the hub; cookies are signed, so that a page that is open finds its way back after a restart, and one that signed out does not.
 */
export class PageSessions {
  readonly #options: PageSessionsOptions
  /** By the SHA-256 of its code: when it is over. */
  readonly #links = new Map<string, number>()
  /** Sign-ins that were ended: when their cookies would be over. */
  readonly #left: Map<string, number>
  readonly #signOuts: SignOutStore
  readonly #operator: string
  readonly #publicKey: KeyObject
  /** One for each instance: ports of one host share their cookies. */
  readonly cookieName: string

  constructor(options: PageSessionsOptions) {
    this.#options = options
    this.#signOuts = options.signOuts ?? FORGOTTEN
    this.#left = new Map(this.#signOuts.load())
    this.#operator = options.operatorHash.slice(0, 32)
    this.#publicKey = createPublicKey(options.key)
    const bytes = this.#publicKey.export({ type: "spki", format: "der" })
    this.cookieName = `skein_${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}`
  }

  /** A code for one sign-in within `LINK_MS`. The caller of this MUST have seen the operator's credential. */
  makeLink(): { code: string; expiresAtMs: number } {
    const nowMs = this.#options.wallMs()
    for (const [hash, expiresAtMs] of this.#links) if (expiresAtMs <= nowMs || this.#links.size >= LINKS_MAX) this.#links.delete(hash)
    const code = randomBytes(32).toString("base64url")
    const expiresAtMs = nowMs + LINK_MS
    this.#links.set(hashOf(code), expiresAtMs)
    return { code, expiresAtMs }
  }

  /** The cookie's value for a code, which is void from then on. Throws `unauthenticated`. */
  async redeem(code: string): Promise<{ value: string; expiresAtMs: number }> {
    const hash = hashOf(code)
    const expiresAtMs = this.#links.get(hash)
    this.#links.delete(hash)
    if (expiresAtMs === undefined || expiresAtMs <= this.#options.wallMs())
      throw new SkeinError("unauthenticated", "this sign-in link was used already, or is over", "Make another: skein dash.")
    return this.#seal(randomBytes(12).toString("base64url"))
  }

  /** Another value for a cookie that counts, good for `PAGE_SESSION_MS` from now. Throws `unauthenticated`. */
  async renew(value: string): Promise<{ value: string; expiresAtMs: number }> {
    return this.#seal((await this.verify(value)).signIn)
  }

  /**
   * Ends a sign-in: its cookie, and what that was renewed from, are void for good. No error on one that is void already. Throws `storage_refused` where
   * that could not be kept: until the hub's next start they are void all the same.
   */
  async leave(value: string): Promise<void> {
    const nowMs = this.#options.wallMs()
    for (const [signIn, expiresAtMs] of this.#left) if (expiresAtMs <= nowMs) this.#left.delete(signIn)
    const found = await this.verify(value).catch(() => null)
    if (found === null) return
    this.#left.set(found.signIn, nowMs + PAGE_SESSION_MS)
    try {
      this.#signOuts.keep(this.#left)
    } catch (error) {
      throw new SkeinError(
        "storage_refused",
        `you are signed out, but that could not be kept: ${error instanceof Error ? error.message : String(error)}`,
        "Make room on the disk and sign out again, or replace the operator's credential: from the hub's next start a copy of the cookie counts again.",
      )
    }
  }

  async #seal(signIn: string): Promise<{ value: string; expiresAtMs: number }> {
    const issuedAtSec = Math.floor(this.#options.wallMs() / 1_000)
    const expiresAtMs = issuedAtSec * 1_000 + PAGE_SESSION_MS
    const value = await new SignJWT({ operator: this.#operator, signIn })
      .setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
      .setIssuer(ISSUER)
      .setIssuedAt(issuedAtSec)
      .setExpirationTime(expiresAtMs / 1_000)
      .sign(this.#options.key)
    return { value, expiresAtMs }
  }

  /** When a cookie is over, and which sign-in it is of. Throws `unauthenticated` on one that this instance did not give, or that is over. */
  async verify(value: string): Promise<{ expiresAtMs: number; signIn: string }> {
    try {
      const { payload } = await jwtVerify(value, this.#publicKey, {
        algorithms: ["EdDSA"],
        issuer: ISSUER,
        requiredClaims: ["operator", "signIn", "iat", "exp"],
        currentDate: new Date(this.#options.wallMs()),
      })
      const { operator, signIn, exp } = payload
      if (operator !== this.#operator || typeof signIn !== "string" || this.#left.has(signIn)) throw new TypeError("another operator, or one who left")
      return { expiresAtMs: (exp as number) * 1_000, signIn }
    } catch {
      throw new SkeinError("unauthenticated", "the page is not signed in, or no longer", "Open it with a new link: skein dash.")
    }
  }
}

function hashOf(code: string): string {
  return createHash("sha256").update(code).digest("hex")
}
