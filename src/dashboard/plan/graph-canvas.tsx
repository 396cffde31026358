import type { JSX } from "preact"
import { useEffect, useRef } from "preact/hooks"
import { theme } from "../theme.ts"
import { Gestures } from "./gestures.ts"
import { Overview } from "./overview.ts"
import { Scene } from "./scene.ts"
import type { Scenery } from "./scenery.ts"

type Props = Scenery & { label: string; onOpen: (at: number) => void }

/** Screen pixels that an arrow key moves, and the factor of a step of zoom. */
const STEP = 60
const FACTOR = 1.25

/** The graph: drawn on a canvas, moved by hand and by keys. Whoever cannot see it has the list beside it, which says and does the same. */
export function GraphCanvas({ graph, layout, faces, critical, cursor, open, label, onOpen }: Props): JSX.Element {
  const box = useRef<HTMLDivElement>(null)
  const canvas = useRef<HTMLCanvasElement>(null)
  const small = useRef<HTMLCanvasElement>(null)
  const parts = useRef<{ scene: Scene; overview: Overview } | null>(null)
  const opener = useRef(onOpen)
  opener.current = onOpen
  useEffect(() => {
    const element = box.current as HTMLDivElement
    const scene = new Scene(canvas.current as HTMLCanvasElement, () => {
      overview.follow()
      element.dataset["scale"] = scene.camera.scale.toFixed(3)
    })
    const overview = new Overview(small.current as HTMLCanvasElement, scene)
    parts.current = { scene, overview }
    const gestures = new Gestures(element, scene, (point) => {
      const at = scene.at(point)
      if (at >= 0) opener.current(at)
    })
    const size = new ResizeObserver(() => scene.resize({ width: element.clientWidth, height: element.clientHeight }, Math.min(2, devicePixelRatio)))
    size.observe(element)
    const recolour = (): void => {
      scene.recolour()
      overview.repaint()
    }
    const isDark = matchMedia("(prefers-color-scheme: dark)")
    isDark.addEventListener("change", recolour)
    const unsubscribe = theme.subscribe(recolour)
    return () => {
      gestures.close()
      size.disconnect()
      isDark.removeEventListener("change", recolour)
      unsubscribe()
      scene.close()
      parts.current = null
    }
  }, [])
  useEffect(() => {
    const scenery = { graph, layout, faces, critical, cursor, open }
    parts.current?.scene.show(scenery)
    parts.current?.overview.show(scenery)
  }, [graph, layout, faces, critical, cursor, open])
  useEffect(() => parts.current?.scene.seek(cursor), [cursor])
  const scene = (): Scene | undefined => parts.current?.scene
  return (
    <div class="graph">
      <div
        class="graph-box"
        ref={box}
        tabIndex={0}
        role="application"
        aria-label={label}
        onKeyDown={(event) => {
          if (event.ctrlKey || event.metaKey || event.altKey) return
          if (event.key === "Enter" && cursor >= 0) onOpen(cursor)
          else if (!moves(scene(), event.key, event.shiftKey)) return
          event.preventDefault()
        }}
      >
        <canvas ref={canvas} />
      </div>
      <canvas class="overview" ref={small} width={160} height={100} aria-hidden="true" />
      <div class="graph-buttons">
        <button type="button" aria-label="Zoom in" title="+" onClick={() => scene()?.zoom(FACTOR)}>
          +
        </button>
        <button type="button" aria-label="Zoom out" title="−" onClick={() => scene()?.zoom(1 / FACTOR)}>
          −
        </button>
        <button type="button" title="0" onClick={() => scene()?.fit()}>
          Fit
        </button>
      </div>
    </div>
  )
}

/** What a key does to the graph; false where it means nothing here. */
function moves(scene: Scene | undefined, key: string, isFar: boolean): boolean {
  if (scene === undefined) return false
  const step = isFar ? 4 * STEP : STEP
  const pans: Readonly<Record<string, [number, number]>> = { ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step] }
  const pan = pans[key]
  if (pan !== undefined) scene.pan(...pan)
  else if (key === "+" || key === "=") scene.zoom(FACTOR)
  else if (key === "-" || key === "_") scene.zoom(1 / FACTOR)
  else if (key === "0") scene.fit()
  else return false
  return true
}
