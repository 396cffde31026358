import type { Seq } from "../../src/core/ids.ts"
import type { Appended, Head, Ledger, Stored } from "../../src/ledger/ledger.ts"

/** A ledger that hands everything on to another. What extends it changes one thing: that is how faults are planted. */
export class ThroughLedger implements Ledger {
  readonly supports: Ledger["supports"]
  readonly inner: Ledger

  constructor(inner: Ledger) {
    this.inner = inner
    this.supports = inner.supports
  }

  head(): Promise<Head> {
    return this.inner.head()
  }

  append(expected: Seq, batch: readonly Stored[]): Promise<Appended> {
    return this.inner.append(expected, batch)
  }

  read(from: Seq, limit: number): Promise<Stored[]> {
    return this.inner.read(from, limit)
  }

  moved(seq: Seq, signal: AbortSignal): Promise<void> {
    return this.inner.moved(seq, signal)
  }

  idle(): Promise<void> {
    return this.inner.idle()
  }

  backup(path: string): Promise<void> {
    return this.inner.backup(path)
  }

  close(): Promise<void> {
    return this.inner.close()
  }
}
