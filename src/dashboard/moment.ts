import { computed, type ReadonlySignal, type Signal, signal } from "@preact/signals"
import type { Seq } from "../core/ids.ts"
import type { Workspace } from "../core/workspace.ts"

/**
 * The workspace as a view draws it. `state` is one object that goes on in place: a new `Picture` says that it did, and its records are never changed
 * in place, so that a row whose records are the same need not be drawn again.
 */
export type Picture = { readonly state: Workspace; readonly seq: Seq; readonly atMs: number; readonly isLive: boolean }

/** What moment the page shows: as it is, or as it was after an entry. Set it with `goToMoment` of `route.ts`, so that the address says it too. */
export const moment: Signal<"live" | Seq> = signal("live")

/** The newest picture; null until the first one is there. Only `live.ts` writes it. */
export const livePicture: Signal<Picture | null> = signal(null)

/** The picture of the moment that was asked for, whoever folds the past; null while it is being folded. */
export const pastPicture: Signal<Picture | null> = signal(null)

/** The hub's clock in ms, once a second. Only `live.ts` writes it. */
export const hubClock: Signal<number> = signal(0)

/** Why the moment that was asked for cannot be shown; null where it can. Only `travel.ts` writes it. */
export const travelTrouble: Signal<string | null> = signal(null)

/** The picture that views draw: of now, or of the moment. */
export const picture: ReadonlySignal<Picture | null> = computed(() => (moment.value === "live" ? livePicture.value : pastPicture.value))

/** The time at that moment, in ms of the hub's clock: a view MUST take it from here, never from the browser's. */
export const clock: ReadonlySignal<number> = computed(() => (moment.value === "live" ? hubClock.value : (pastPicture.value?.atMs ?? 0)))

/** Whether the page shows now: what is no ledger state (presence, terminals, alerts) is known of no other moment. */
export const isNow: ReadonlySignal<boolean> = computed(() => moment.value === "live")
