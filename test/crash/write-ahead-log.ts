/**
 * The file format of SQLite's write-ahead log, as far as a torn tail needs it: https://www.sqlite.org/fileformat2.html#walformat
 * Frames count only while salts and running checksums fit; a transaction counts only up to a frame that commits.
 */

const HEADER_BYTES = 32
const FRAME_HEADER_BYTES = 24

export type WriteAheadLog = {
  /** Where each transaction that counts ends, in bytes from the beginning of the file. */
  commits: number[]
  /** Where the frames that count end; more than the last commit where one was cut off. */
  framesEnd: number
}

export function readWriteAheadLog(file: Buffer): WriteAheadLog {
  const nothing = { commits: [], framesEnd: Math.min(file.length, HEADER_BYTES) }
  if (file.length < HEADER_BYTES) return nothing
  const magic = file.readUInt32BE(0)
  if (magic !== 0x377f0682 && magic !== 0x377f0683) return nothing
  const bigEndian = magic === 0x377f0683
  const pageBytes = file.readUInt32BE(8)
  const salts = file.subarray(16, 24)
  let sum = checksum(file, 0, 24, [0, 0], bigEndian)
  if (sum[0] !== file.readUInt32BE(24) || sum[1] !== file.readUInt32BE(28)) return nothing
  const commits: number[] = []
  let at = HEADER_BYTES
  for (; at + FRAME_HEADER_BYTES + pageBytes <= file.length; at += FRAME_HEADER_BYTES + pageBytes) {
    if (!file.subarray(at + 8, at + 16).equals(salts)) break
    sum = checksum(file, at, 8, sum, bigEndian)
    sum = checksum(file, at + FRAME_HEADER_BYTES, pageBytes, sum, bigEndian)
    if (sum[0] !== file.readUInt32BE(at + 16) || sum[1] !== file.readUInt32BE(at + 20)) break
    if (file.readUInt32BE(at + 4) > 0) commits.push(at + FRAME_HEADER_BYTES + pageBytes)
  }
  return { commits, framesEnd: at }
}

function checksum(file: Buffer, from: number, bytes: number, [first, second]: readonly [number, number], bigEndian: boolean): [number, number] {
  let [s1, s2] = [first, second]
  for (let at = from; at < from + bytes; at += 8) {
    s1 = (s1 + (bigEndian ? file.readUInt32BE(at) : file.readUInt32LE(at)) + s2) >>> 0
    s2 = (s2 + (bigEndian ? file.readUInt32BE(at + 4) : file.readUInt32LE(at + 4)) + s1) >>> 0
  }
  return [s1, s2]
}
