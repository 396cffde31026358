import { useSignal } from "@preact/signals"
import type { ComponentType, JSX } from "preact"
import { useEffect, useRef, useState } from "preact/hooks"
import { AlertsSaid } from "./alerts-said.tsx"
import { tellRefusal } from "./act.ts"
import { ActDialog, Dialog, Notices } from "./dialog.tsx"
import { count, duration } from "./figures.ts"
import { bindKey, boundKeys } from "./keys.ts"
import { connection, connectNow, fail, heardAtMs, hubStatus, hubAnswers, signOut, welcome, workspaceOfPage } from "./live.ts"
import { clock, isNow, moment, picture, travelTrouble } from "./moment.ts"
import { openPalette } from "./palette-call.ts"
import { goToMoment, hrefOf, route } from "./route.ts"
import { Text } from "./text.tsx"
import { switchTheme, theme } from "./theme.ts"
import { FOOT, OVERLAYS, VIEWS } from "./views.ts"
import { failureText } from "./failure.ts"

/** The page: header, navigation, the view, and what stands below it. */
export function Shell(): JSX.Element {
  useEffect(() => bindKey({ key: "Ctrl+k", what: "find or do anything", run: find }), [])
  const { phase } = connection.value
  if (phase === "signed_out") return <SignedOut />
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to the view
      </a>
      <Header />
      <Nav />
      <Trouble />
      <main id="main" tabIndex={-1}>
        <CurrentView />
      </main>
      <footer>
        {FOOT.map((load, at) => (
          <Loaded key={at} load={load} />
        ))}
      </footer>
      <Help />
      <ActDialog />
      <Notices />
      <AlertsSaid />
      {OVERLAYS.map((load, at) => (
        <Loaded key={at} load={load} />
      ))}
    </>
  )
}

function find(): void {
  openPalette.value = { typed: "", given: {} }
}

/** The address belongs to the views: the focus goes there without it. */
function skipToMain(event: Event): void {
  event.preventDefault()
  document.getElementById("main")?.focus()
}

function Header(): JSX.Element {
  const alerts = isNow.value ? (hubStatus.value?.alerts.length ?? 0) : null
  return (
    <header>
      <h1>
        <a href={hrefOf("flight")}>Skein</a> <span class="quiet">{workspaceOfPage()}</span>
      </h1>
      <span class="number" title="the last entry of the ledger that is shown">
        entry {count(picture.value?.seq ?? 0)}
      </span>
      <ConnectionState />
      {alerts === null || alerts === 0 ? null : (
        <a class="alert-count" href={hrefOf("flight")}>
          <span aria-hidden="true">▲</span> {alerts} {alerts === 1 ? "alert" : "alerts"}
        </a>
      )}
      <span class="spring" />
      <a href="/api">API</a>
      <button type="button" onClick={find} title="find or do anything: Ctrl+K">
        find
      </button>
      <button type="button" onClick={switchTheme} title="light, dark, or as the system has it">
        {theme.value}
      </button>
      <button type="button" onClick={() => void signOut().catch(tellRefusal)}>
        sign out
      </button>
    </header>
  )
}

/** How the page stands to the hub, and how old its picture is. */
function ConnectionState(): JSX.Element {
  const at = connection.value
  // Read for its ticking: the age goes on when nothing else does.
  void clock.value
  if (!isNow.value)
    return (
      <span class="state">
        <span aria-hidden="true">◷</span> the past, entry {count(moment.value as number)}
        <button type="button" onClick={() => goToMoment("live")}>
          back to now
        </button>
      </span>
    )
  if (at.phase === "live")
    return (
      <span class="state state-live" role="status">
        <span aria-hidden="true">●</span> live
      </span>
    )
  if (at.phase === "loading")
    return (
      <span class="state" role="status">
        <span aria-hidden="true">◔</span> reading up to entry {count(at.head)}
      </span>
    )
  const age = heardAtMs.value === 0 ? "" : ` · as of ${duration(performance.now() - heardAtMs.value)} ago`
  return (
    <span class="state state-lost" role="status">
      <span aria-hidden="true">✕</span> {at.phase === "connecting" ? "connecting" : "not connected"}
      {/* It goes on each second: whoever listens need not hear that. */}
      <span aria-live="off">{age}</span>
    </span>
  )
}

/** What keeps the page from showing the truth, and what to do about it. */
function Trouble(): JSX.Element | null {
  const at = connection.value
  void clock.value
  if (at.phase === "broken")
    return (
      <p class="trouble" role="alert">
        This page cannot go on: <Text of={at.why} />. <button onClick={() => location.reload()}>Load it again</button>
      </p>
    )
  if (at.phase !== "lost") return null
  const waitMs = at.retryAtMs - performance.now()
  return (
    <p class="trouble">
      The hub does not answer{heardAtMs.value === 0 ? "" : `; what you see is ${duration(performance.now() - heardAtMs.value)} old`}. Trying again
      {waitMs > 1_000 ? ` in ${duration(waitMs)}` : ""}. If it is down: <code>skein up</code> <button onClick={connectNow}>Try now</button>
    </p>
  )
}

function SignedOut(): JSX.Element {
  const main = useRef<HTMLElement>(null)
  useEffect(() => {
    document.title = "Signed out · Skein"
    main.current?.focus()
  }, [])
  return (
    <main ref={main} class="alone" tabIndex={-1}>
      <h1>Skein</h1>
      <p>You are not signed in. In a terminal, in the repository:</p>
      <pre>skein dash</pre>
      <p>
        It opens this page with a link that works once. Then <button onClick={connectNow}>look again</button>
      </p>
      <p>
        <a href="/api">The operations of this hub</a>
      </p>
      <Notices />
    </main>
  )
}

function Nav(): JSX.Element {
  const { view } = route.value
  // Where there is no room for all of them, they scroll.
  const nav = useRef<HTMLElement>(null)
  useEffect(() => {
    const current = nav.current?.querySelector<HTMLElement>("[aria-current]")
    if (nav.current && current) nav.current.scrollLeft = current.offsetLeft - (nav.current.clientWidth - current.offsetWidth) / 2
  }, [view])
  return (
    <nav ref={nav} aria-label="Views">
      {VIEWS.map(({ name, title, key }) => (
        <a key={name} href={hrefOf(name)} aria-current={name === view ? "page" : undefined} title={`g ${key}`}>
          {title}
        </a>
      ))}
    </nav>
  )
}

function CurrentView(): JSX.Element {
  const { view: name, parts, filters } = route.value
  const view = VIEWS.find((one) => one.name === name)
  const Part = useLoaded(view?.load)
  const shown = picture.value
  useEffect(() => {
    document.title = `${view?.title ?? "Skein"} · ${workspaceOfPage()} · Skein`
  }, [view])
  if (view === undefined)
    return (
      <p>
        There is no view <Text of={name} max={80} />. <a href={hrefOf("flight")}>Go to Flight</a>
      </p>
    )
  if (shown === null || Part === null)
    return (
      <p class="quiet">
        {travelTrouble.value === null ? (
          shown === null || hubAnswers.value ? (
            "Reading the ledger …"
          ) : (
            "This view was not opened before: it comes when the hub answers."
          )
        ) : (
          <>
            This moment cannot be shown: <Text of={travelTrouble.value} />.
          </>
        )}
      </p>
    )
  return <Part picture={shown} parts={parts} filters={filters} />
}

const loaded = new Map<() => Promise<unknown>, unknown>()

/**
 * A part of the page, once its code is there; what did not come while the hub was away is asked for again when it is back. While it is known to be away
 * nothing is asked for: Firefox never asks again for a module that could not be had once.
 */
function useLoaded<Part>(load: (() => Promise<Part>) | undefined): Part | null {
  const [, again] = useState(0)
  const hasHub = hubAnswers.value
  const isAway = connection.value.phase === "lost"
  useEffect(() => {
    if (load === undefined || loaded.has(load) || isAway) return
    load().then(
      (part) => {
        loaded.set(load, part)
        again((times) => times + 1)
      },
      async (error: unknown) => {
        const answer = hasHub ? await fetch("/health").catch(() => null) : null
        // The package was replaced under this page: only a new one has the names of its files.
        if (answer?.ok === true) fail(failureText(error))
      },
    )
  }, [load, hasHub, isAway])
  return load === undefined ? null : ((loaded.get(load) as Part | undefined) ?? null)
}

function Loaded({ load }: { load: () => Promise<ComponentType> }): JSX.Element | null {
  const Part = useLoaded(load)
  return Part === null ? null : <Part />
}

/** All keys, when `?` is pressed. */
function Help(): JSX.Element | null {
  const isOpen = useSignal(false)
  useEffect(() => bindKey({ key: "?", what: "show the keys", run: () => (isOpen.value = true) }), [])
  if (!isOpen.value) return null
  return (
    <Dialog title="Keys" onClose={() => (isOpen.value = false)}>
      <h2>Keys</h2>
      <dl class="keys">
        {boundKeys().map(({ key, what }) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="quiet">
        {welcome.value === null ? "" : `hub ${welcome.value.version}, signed in as ${welcome.value.agent}. `}
        <a href="/api">Every operation</a>
      </p>
      <div class="buttons">
        <button type="button" class="main" onClick={() => (isOpen.value = false)}>
          Close
        </button>
      </div>
    </Dialog>
  )
}
