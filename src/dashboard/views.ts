import type { ComponentType } from "preact"
import type { Picture } from "./moment.ts"
import { Flight } from "./views/flight.tsx"

/** What every view is given: the picture of the moment, and what the address says behind the view's name. The time comes from `clock`. */
export type ViewProps = { picture: Picture; parts: readonly string[]; filters: Readonly<Record<string, string>> }

/** `key`: pressed after `g`, it goes there. `load`: its code, which comes when it is first looked at; that of the first view comes with the page. */
export type View = { name: string; title: string; key: string; load: () => Promise<ComponentType<ViewProps>> }

/** Every view, in the order of the navigation. */
export const VIEWS: readonly View[] = [
  { name: "flight", title: "Flight", key: "f", load: async () => Flight },
  { name: "plan", title: "Plan", key: "p", load: async () => (await import("./views/plan.tsx")).PlanView },
  { name: "threads", title: "Threads", key: "t", load: async () => (await import("./views/threads.tsx")).Threads },
  { name: "files", title: "Files", key: "i", load: async () => (await import("./views/files.tsx")).FilesView },
  { name: "ledger", title: "Ledger", key: "l", load: async () => (await import("./views/ledger.tsx")).Ledger },
  { name: "money", title: "Money", key: "m", load: async () => (await import("./views/money.tsx")).MoneyView },
  { name: "agents", title: "Agents", key: "a", load: async () => (await import("./views/agents.tsx")).Agents },
  { name: "charts", title: "Charts", key: "c", load: async () => (await import("./views/charts.tsx")).Charts },
]

/** What stands below every view; its code comes after the page has been drawn. */
export const FOOT: readonly (() => Promise<ComponentType>)[] = [async () => (await import("./timeline.tsx")).Timeline]

/** What lies over the page when it is called for, such as the palette; its code comes after the page has been drawn. */
export const OVERLAYS: readonly (() => Promise<ComponentType>)[] = [async () => (await import("./palette.tsx")).Palette]
