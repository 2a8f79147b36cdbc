/** Just enough of ELF to tell a static program from one that needs a libc. */
const PT_INTERP = 3;

export function isStaticElf(file: Buffer): boolean {
  if (file.length < 64 || file.readUInt32BE(0) !== 0x7f454c46 || file[4] !== 2) {
    return false;
  }
  const headers = Number(file.readBigUInt64LE(32));
  const size = file.readUInt16LE(54);
  const count = file.readUInt16LE(56);
  for (let index = 0; index < count; index++) {
    const at = headers + index * size;
    if (at + 4 <= file.length && file.readUInt32LE(at) === PT_INTERP) {
      return false;
    }
  }
  return true;
}
