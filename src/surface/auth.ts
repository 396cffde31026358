import { createHash, createPublicKey, type KeyObject, randomBytes, timingSafeEqual } from "node:crypto"
import { errors, jwtVerify, SignJWT } from "jose"
import { SkeinError } from "../contract/errors.ts"
import type { Actor, Role } from "../core/entry.ts"
import type { AgentId, SessionId } from "../core/ids.ts"
import { ROLES } from "../core/role.ts"
import type { Workspace } from "../core/workspace.ts"
import type { Hub } from "../hub/hub.ts"
import { PageSessions } from "./page-sessions.ts"
import type { SignOutStore } from "./sign-outs.ts"

/** How long a token lasts, in ms. */
export const TOKEN_MS = 15 * 60_000
/** The operator's own name: its credential is the hub's, not one workspace's. */
export const OPERATOR: AgentId = "operator"
const OPERATOR_CREDENTIAL = "operator"
/** Tokens whose signature need not be checked again. */
const KNOWN_MAX = 10_000
const ISSUER = "skein"
// The secret has a fixed length, so that names and secrets may hold underscores.
const CREDENTIAL = /^skc_([A-Za-z0-9][A-Za-z0-9._-]{0,63})_([A-Za-z0-9]{1,32})_([A-Za-z0-9_-]{43})$/

/** Who calls, as a token or credential says: never as a payload says. */
export type Caller = {
  actor: Actor
  workspace: string
  /** The credential that it all came from; null for a token that a supervisor minted. */
  credential: string | null
  /** Who minted the token for the agent, and with which credential: void with that; absent where it was the operator, or nobody else. */
  minter?: { agent: AgentId; credential: string }
  /** When this is over, on the wall clock; null for a credential, which is not. */
  expiresAtMs: number | null
  /** The session is not the token's but was bound to it by the request, after a look at whose it is. */
  bound?: true
  /** Of the page: the sign-in that its cookie is of. */
  signIn?: string
}

export type AuthOptions = {
  hub: Hub
  /** Ed25519; signs the tokens. */
  key: KeyObject
  /** `hashCredential` of the operator's credential. */
  operatorHash: string
  /** The wall clock, in ms since 1970. */
  wallMs: () => number
  /** Where sign-outs of the page are kept; by default in memory alone. */
  signOuts?: SignOutStore
}

/** A fresh credential for an agent: 256 random bits, and the hash that the ledger keeps. `id`: 12 hex digits unless given. */
export function makeCredential(agent: AgentId, id: string = randomBytes(6).toString("hex")): { credential: string; id: string; hash: string } {
  const credential = `skc_${agent}_${id}_${randomBytes(32).toString("base64url")}`
  return { credential, id, hash: hashCredential(credential) }
}

/** The operator's credential, made at the first start of an instance. */
export function makeOperatorCredential(): { credential: string; hash: string } {
  return makeCredential(OPERATOR, OPERATOR_CREDENTIAL)
}

/** What is kept of a credential. It is random and long, so a plain hash serves: there is nothing to guess. */
export function hashCredential(credential: string): string {
  return createHash("sha256").update(credential).digest("hex")
}

/** Verifies who calls, and mints tokens. What was verified once is remembered until it expires or is revoked. */
export class Auth {
  readonly #options: AuthOptions
  readonly #publicKey: KeyObject
  readonly #known = new Map<string, Caller>()
  /** Sign-in links and cookies of the web page. */
  readonly page: PageSessions

  constructor(options: AuthOptions) {
    this.#options = options
    this.#publicKey = createPublicKey(options.key)
    this.page = new PageSessions(options)
  }

  /**
   * The caller behind a bearer text: a token, or over loopback a credential. `workspace` and `session` are what the request asks for; null: what the
   * token says. Throws `unauthenticated`, `token_expired`, `foreign_workspace`, `claim_mismatch` (the session is not the caller's), `retired`.
   */
  async caller(bearer: string | null, wanted: { workspace: string | null; session: SessionId | null; loopback: boolean }): Promise<Caller> {
    if (bearer === null || bearer === "")
      throw new SkeinError("unauthenticated", "the request carries no token", "Send `Authorization: Bearer TOKEN`; `skein token` prints one.")
    const isCredential = bearer.startsWith("skc_")
    if (isCredential && !wanted.loopback)
      throw new SkeinError("unauthenticated", "a credential is taken over loopback only", "Mint a token from it with POST /token, and send that.")
    const caller = isCredential ? await this.#byCredential(bearer, wanted.workspace) : await this.#byToken(bearer)
    if (wanted.workspace !== null && wanted.workspace !== caller.workspace) {
      const remedy = `Ask for workspace ${caller.workspace}, or use a credential of the one that you asked for.`
      throw new SkeinError("foreign_workspace", `the token is for workspace ${caller.workspace}`, remedy, { workspace: caller.workspace })
    }
    return wanted.session === null || wanted.session === caller.actor.session ? caller : this.#bound(caller, wanted.session)
  }

  /**
   * The caller behind a cookie of the page: the operator. The caller of this MUST have seen that the request comes from the page itself, since a
   * browser sends cookies along with what others ask it for. Throws `unauthenticated`, `not_found` (no such workspace).
   */
  async pageCaller(cookie: string, workspace: string | null): Promise<Caller> {
    const { expiresAtMs, signIn } = await this.page.verify(cookie)
    const name = workspace ?? "main"
    this.#loop(name)
    return { actor: { agent: OPERATOR, session: null, role: "operator" }, workspace: name, credential: OPERATOR_CREDENTIAL, expiresAtMs, signIn }
  }

  /** `caller` for a bearer that is known already and asks for nothing besides, without a promise; null: ask `caller`. */
  known(bearer: string | null, wanted: { workspace: string | null; session: SessionId | null; loopback: boolean }): Caller | null {
    if (bearer === null || wanted.session !== null) return null
    const isCredential = bearer.startsWith("skc_")
    if (isCredential && !wanted.loopback) return null
    const caller = this.#known.get(isCredential ? `${wanted.workspace ?? ""} ${bearer}` : bearer)
    if (caller === undefined || this.isOver(caller)) return null
    return wanted.workspace === null || wanted.workspace === caller.workspace ? caller : null
  }

  /** Exchanges a credential for a token; a `session` of the same agent may be bound to it. */
  async exchange(
    credential: string,
    wanted: { workspace: string | null; session: SessionId | null },
  ): Promise<{ token: string; expiresAtMs: number; caller: Caller }> {
    if (!credential.startsWith("skc_"))
      throw new SkeinError("unauthenticated", "only a credential can be exchanged for a token", "Send the credential from the agent's file as bearer.")
    const caller = await this.caller(credential, { ...wanted, loopback: true })
    return { ...(await this.mint(caller)), caller }
  }

  /** A token for `TOKEN_MS`. The caller of this MUST have checked that the identity may be given out. */
  async mint({ actor, workspace, credential, minter }: Omit<Caller, "expiresAtMs">): Promise<{ token: string; expiresAtMs: number }> {
    const issuedAtSec = Math.floor(this.#options.wallMs() / 1_000)
    const expiresAtMs = issuedAtSec * 1_000 + TOKEN_MS
    const token = await new SignJWT({ agent: actor.agent, workspace, role: actor.role, session: actor.session, ...(minter === undefined ? {} : { minter }) })
      .setProtectedHeader({ alg: "EdDSA", typ: "JWT" })
      .setIssuer(ISSUER)
      .setIssuedAt(issuedAtSec)
      .setExpirationTime(expiresAtMs / 1_000)
      .setJti(`${credential ?? ""}.${randomBytes(12).toString("base64url")}`)
      .sign(this.#options.key)
    return { token, expiresAtMs }
  }

  /** Something was revoked: what is remembered of it is verified anew, against the state as it is now. */
  forget(matches: (caller: Caller) => boolean): void {
    for (const [bearer, caller] of this.#known) if (matches(caller)) this.#known.delete(bearer)
  }

  isOver({ expiresAtMs }: Caller): boolean {
    return expiresAtMs !== null && this.#options.wallMs() >= expiresAtMs
  }

  async #byToken(token: string): Promise<Caller> {
    const known = this.#known.get(token)
    const caller = known ?? (await this.#verify(token))
    if (this.isOver(caller)) throw expired()
    if (known === undefined) {
      await this.#stillGood(caller)
      this.#remember(token, caller)
    }
    return caller
  }

  async #verify(token: string): Promise<Caller> {
    try {
      const { payload } = await jwtVerify(token, this.#publicKey, {
        algorithms: ["EdDSA"],
        issuer: ISSUER,
        requiredClaims: ["agent", "workspace", "role", "iat", "exp", "jti"],
        currentDate: new Date(this.#options.wallMs()),
      })
      const { agent, workspace, role, session, exp, jti, minter } = payload
      if (typeof agent !== "string" || typeof workspace !== "string" || !ROLES.includes(role as Role)) throw new TypeError("claims")
      const credential = (jti as string).slice(0, (jti as string).indexOf("."))
      return {
        actor: { agent, session: typeof session === "string" ? session : null, role: role as Role },
        workspace,
        credential: credential === "" ? null : credential,
        expiresAtMs: (exp as number) * 1_000,
        ...(minter === undefined ? {} : { minter: minter as Required<Caller>["minter"] }),
      }
    } catch (error) {
      if (error instanceof errors.JWTExpired) throw expired()
      throw new SkeinError("unauthenticated", "the token is not one of this hub's", "Mint one from the credential: POST /token, or `skein token`.")
    }
  }

  async #byCredential(credential: string, workspace: string | null): Promise<Caller> {
    const key = `${workspace ?? ""} ${credential}`
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const caller = await this.#verifyCredential(credential, workspace)
    this.#remember(key, caller)
    return caller
  }

  async #verifyCredential(credential: string, workspace: string | null): Promise<Caller> {
    const unknown = new SkeinError(
      "unauthenticated",
      "the credential is not one of this hub's, or was revoked",
      "Have the operator issue another: credential.issue.",
    )
    const [, agent, id] = CREDENTIAL.exec(credential) ?? []
    if (agent === undefined || id === undefined) throw unknown
    const hash = hashCredential(credential)
    if (same(hash, this.#options.operatorHash)) {
      const name = workspace ?? "main"
      this.#loop(name)
      return { actor: { agent: OPERATOR, session: null, role: "operator" }, workspace: name, credential: OPERATOR_CREDENTIAL, expiresAtMs: null }
    }
    const found = await this.#workspaceOf(agent, id, hash, workspace)
    if (found === null) throw unknown
    return { actor: { agent, session: null, role: found.role }, workspace: found.workspace, credential: id, expiresAtMs: null }
  }

  /** Where the credential belongs: the workspace that was asked for, else the first that knows it. */
  async #workspaceOf(agent: AgentId, id: string, hash: string, wanted: string | null): Promise<{ workspace: string; role: Role } | null> {
    const names = this.#options.hub.names()
    const ordered = wanted === null ? names : [wanted, ...names.filter((name) => name !== wanted)]
    for (const workspace of ordered) {
      const record = await this.#options.hub.workspace(workspace)?.read((state) => state.agents.get(agent))
      const kept = record?.credentials[id]
      if (record?.status === "present" && kept !== undefined && same(hash, kept)) return { workspace, role: record.role }
    }
    return null
  }

  /** A signature stays true for 15 minutes; whether the agent, its credential and its session are still there is asked of the state. */
  async #stillGood({ actor, workspace, credential, minter }: Caller): Promise<void> {
    if (actor.role === "operator" && credential === OPERATOR_CREDENTIAL) {
      this.#loop(workspace)
      return
    }
    await this.#loop(workspace).read((state) => {
      const agent = state.agents.get(actor.agent)
      if (agent === undefined)
        throw new SkeinError("unauthenticated", `there is no agent ${actor.agent} in workspace ${workspace}`, "Have the operator add it.")
      if (agent.status === "retired")
        throw new SkeinError("retired", `agent ${actor.agent} is retired`, "A retired agent does not come back.", { agent: actor.agent })
      if (credential !== null && agent.credentials[credential] === undefined)
        throw new SkeinError("unauthenticated", "the credential behind this token was revoked", "Have the operator issue another: credential.issue.")
      if (minter !== undefined && state.agents.get(minter.agent)?.credentials[minter.credential] === undefined)
        throw new SkeinError("unauthenticated", `the credential of ${minter.agent}, who minted this token, was revoked`, "Have another supervisor mint one.")
      if (actor.session !== null) checkSession(state, actor.agent, actor.session)
    })
  }

  async #bound(caller: Caller, session: SessionId): Promise<Caller> {
    const { agent, session: own } = caller.actor
    if (own !== null)
      throw new SkeinError("claim_mismatch", `the token is for session ${own}, the request for ${session}`, "Leave the session out, or mint a token for it.", {
        session: own,
      })
    await this.#loop(caller.workspace).read((state) => checkSession(state, agent, session))
    return { ...caller, actor: { ...caller.actor, session }, bound: true }
  }

  #loop(workspace: string) {
    const loop = this.#options.hub.workspace(workspace)
    if (loop === null) throw new SkeinError("not_found", `there is no workspace ${workspace}`, "`workspace.list` lists them.", { workspace })
    return loop
  }

  #remember(key: string, caller: Caller): void {
    if (this.#known.size >= KNOWN_MAX) {
      // The oldest tenth goes: insertion order is age.
      let drop = KNOWN_MAX / 10
      for (const oldest of this.#known.keys()) {
        if (drop === 0) break
        drop -= 1
        this.#known.delete(oldest)
      }
    }
    this.#known.set(key, caller)
  }
}

/** Throws unless the session is the agent's own and not over. */
export function checkSession(state: Workspace, agent: AgentId, session: SessionId): void {
  const record = state.sessions.get(session)
  if (record === undefined || record.agent !== agent)
    throw new SkeinError(
      "claim_mismatch",
      `session ${session} is not one of ${agent}'s`,
      "Start a session with session.start, and use the id that it answers.",
      { session },
    )
  if (record.status === "ended") throw new SkeinError("wrong_status", `session ${session} has ended`, "Start another with session.start.", { session })
}

function expired(): SkeinError {
  return new SkeinError("token_expired", "the token is over", "Mint another from the credential: POST /token.", {}, 0)
}

function same(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b))
}
