/**
 * The ELF kernel inside a bzImage. QEMU starts it directly (PVH), which spares an emulated machine the three seconds that
 * the kernel's own decompression takes.
 */
import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {createWriteStream} from 'node:fs';
import {pipeline} from 'node:stream/promises';
import {createGunzip} from 'node:zlib';
import {VmError} from './errors.js';
import {findProgram} from './programs.js';

export type Compression = 'gzip' | 'xz' | 'zstd';

const MAGIC: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['zstd', [0x28, 0xb5, 0x2f, 0xfd]],
];

export interface Payload {
  compression: Compression;
  data: Buffer;
}

/** Documentation/arch/x86/boot.rst: the header names the payload from protocol 2.08 on. */
export function findPayload(image: Buffer): Payload | undefined {
  if (image.length < 0x250 || image.toString('latin1', 0x202, 0x206) !== 'HdrS' || image.readUInt16LE(0x206) < 0x208) {
    return undefined;
  }
  const start = ((image[0x1f1] === 0 ? 4 : image.readUInt8(0x1f1)) + 1) * 512 + image.readUInt32LE(0x248);
  const length = image.readUInt32LE(0x24c);
  const payload = image.subarray(start, start + length);
  const compression = MAGIC.find(([, magic]) => magic.every((byte, index) => payload[index] === byte))?.[0];
  // The build appends the unpacked size, 4 bytes, to all but gzip's stream, which ends in it.
  return compression && {compression, data: compression === 'gzip' ? payload : payload.subarray(0, -4)};
}

export async function writeVmlinux({compression, data}: Payload, path: string): Promise<void> {
  const file = createWriteStream(path);
  if (compression === 'gzip') {
    const gunzip = createGunzip();
    gunzip.end(data);
    await pipeline(gunzip, file);
    return;
  }
  const program = findProgram(compression);
  if (program === undefined) {
    throw new VmError(`the program ${compression} is missing, and the kernel is packed with it`);
  }
  const child = spawn(program, ['-dc'], {stdio: ['pipe', 'pipe', 'ignore']});
  const closed = once(child, 'close');
  child.stdin.end(data);
  await pipeline(child.stdout, file);
  const [status] = (await closed) as [number | null];
  if (status !== 0) {
    throw new VmError(`${compression} could not unpack the kernel (status ${status})`);
  }
}
