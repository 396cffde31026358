/** The most tasks that an agent may work on at once: a bench's agent claims and never completes. */
export const MANY_ACTIVE = 1_000_000
