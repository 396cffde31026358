import type { JSX } from "preact"
import { useEffect } from "preact/hooks"
import { count, dateTime } from "./figures.ts"
import { bindKey } from "./keys.ts"
import { moment, pastPicture, picture, travelTrouble } from "./moment.ts"
import { goToMoment } from "./route.ts"
import { Text } from "./text.tsx"
import { followMoment, getReady, headSeq, isFolding, isPlaying, playOrHalt, speed, type Speed, SPEEDS, stepBy } from "./travel.ts"

followMoment()

/** The slider over the ledger: what moment the page shows, and how it goes on. */
export function Timeline(): JSX.Element {
  useEffect(() => {
    const bound = [
      bindKey({ key: ",", what: "one entry back in time", run: () => stepBy(-1) }),
      bindKey({ key: ".", what: "one entry forward in time", run: () => stepBy(1) }),
      bindKey({ key: "p", what: "play from here, or halt", run: playOrHalt }),
      bindKey({ key: "n", what: "back to now", run: () => goToMoment("live") }),
    ]
    return () => bound.forEach((unbind) => unbind())
  }, [])
  const head = headSeq()
  const at = moment.value === "live" ? head : moment.value
  return (
    <div class="timeline" role="group" aria-label="Time" onPointerEnter={getReady} onFocusIn={getReady}>
      <button type="button" onClick={playOrHalt} aria-pressed={isPlaying.value}>
        <span aria-hidden="true">{isPlaying.value ? "❚❚" : "▶"}</span> {isPlaying.value ? "halt" : "play"}
      </button>
      <select aria-label="speed of play" value={String(speed.value)} onChange={({ currentTarget }) => (speed.value = speedOf(currentTarget.value))}>
        {SPEEDS.map((one) => (
          <option key={one} value={String(one)}>
            {one === "entries" ? "by entry" : `× ${count(one)}`}
          </option>
        ))}
      </select>
      <input
        type="range"
        aria-label="moment, as an entry of the ledger"
        aria-valuetext={textOf(at, head)}
        aria-busy={isFolding.value}
        min={1}
        max={Math.max(1, head)}
        step={1}
        value={at}
        onInput={({ currentTarget }) => goTo(Number(currentTarget.value))}
      />
      <span class="number timeline-at" data-shown={picture.value?.seq ?? 0}>
        <span>
          {count(at)} / {count(head)}
        </span>{" "}
        <Says />
      </span>
      <button type="button" onClick={() => goToMoment("live")} disabled={moment.value === "live"}>
        live
      </button>
    </div>
  )
}

/** What is to be said of the moment. */
function Says(): JSX.Element {
  const trouble = travelTrouble.value
  if (trouble !== null)
    return (
      <span class="alert-count" role="alert">
        <Text of={trouble} />
      </span>
    )
  if (moment.value === "live") return <span class="quiet">now</span>
  const atMs = pastPicture.value?.atMs
  return (
    <span class="quiet" aria-live="off">
      {isFolding.value || atMs === undefined ? "folding …" : dateTime(atMs)}
    </span>
  )
}

function textOf(at: number, head: number): string {
  if (moment.value === "live") return `now, entry ${at}`
  const atMs = pastPicture.value?.atMs
  return `entry ${at} of ${head}${atMs === undefined ? "" : `, ${dateTime(atMs)}`}`
}

function goTo(seq: number): void {
  goToMoment(seq >= headSeq() ? "live" : seq)
}

function speedOf(text: string): Speed {
  return SPEEDS.find((one) => String(one) === text) ?? "entries"
}
