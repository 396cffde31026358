/** What a script agent's session says of where it runs: by it the run knows which session is that of a process of its own. */
export function runtimeOf(pid: number): string {
  return `process ${pid}`
}

export function isRuntime(text: string): boolean {
  return /^process \d+$/.test(text)
}
