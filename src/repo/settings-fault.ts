export type SettingsErrorCode = "settings_unreadable" | "settings_taken" | "settings_outside" | "settings_unwritable" | "settings_changed"

/** Why a settings file stays as it is. The message begins with the file, and line and column where there are any; `remedy` says what to do. */
export class SettingsError extends Error {
  readonly code: SettingsErrorCode
  readonly remedy: string

  constructor(code: SettingsErrorCode, message: string, remedy: string, options?: ErrorOptions) {
    super(message, options)
    this.name = "SettingsError"
    this.code = code
    this.remedy = remedy
  }
}

/** `file:line:column` of an offset, both counted from 1. */
export function placeIn(file: string, text: string, offset: number): string {
  const before = text.slice(0, offset).split("\n")
  return `${file}:${before.length}:${(before.at(-1) ?? "").length + 1}`
}

/** Line ends as the text has them. */
export function lineEndOf(text: string): "\r\n" | "\n" {
  return text.includes("\r\n") ? "\r\n" : "\n"
}
