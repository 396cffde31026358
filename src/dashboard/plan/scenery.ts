import type { TaskGraph } from "./graph.ts"
import type { Layout } from "./ranks.ts"

/** What a box of a task says. All of it is drawn as text, hidden characters made visible before. */
export type NodeFace = { readonly state: string; readonly shape: string; readonly name: string; readonly words: string }

/** What is drawn. `critical`: numbers of the tasks of the critical path, in their order; `cursor`: the task that the list stands at, `open`: whose panel is open; -1: none. */
export type Scenery = { graph: TaskGraph; layout: Layout; faces: readonly NodeFace[]; critical: readonly number[]; cursor: number; open: number }

/** A part of the drawing, in its units. */
export type Sight = { left: number; top: number; right: number; bottom: number }

/** Below this scale nobody could read a word. */
export const WORDS_SCALE = 0.45
