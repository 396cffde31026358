import type { Doers } from "./context.ts"

export const permissionReads: Doers<"permission.list"> = {
  "permission.list": ({ read }, { open, agent, limit }) =>
    read((state) => {
      const all = open ? state.jobs.openPermissions() : [...state.permissions.values()]
      const found = all.filter((one) => agent === null || one.agent === agent).sort((a, b) => b.id - a.id)
      return { permissions: found.slice(0, limit) }
    }),
}
