/** An archive of the kind that the kernel takes as its initramfs ("newc"), with nodes that only root could make on a disk. */
const TYPE = {directory: 0o040000, file: 0o100000, link: 0o120000, character: 0o020000} as const;

export interface Entry {
  path: string;
  type: keyof typeof TYPE;
  mode?: number;
  /** A file's bytes, or a link's target. */
  data?: Buffer | string;
  device?: readonly [major: number, minor: number];
}

export function cpio(entries: readonly Entry[]): Buffer {
  return Buffer.concat([...entries.map((entry, index) => record(entry, index + 1)), record({path: 'TRAILER!!!', type: 'file', mode: 0}, 0)]);
}

function record({path, type, mode = 0o755, data = '', device = [0, 0]}: Entry, inode: number): Buffer {
  const body = Buffer.from(data as string);
  const name = Buffer.from(`${path}\0`);
  const fields = [inode, TYPE[type] | mode, 0, 0, 1, 0, body.length, 0, 0, device[0], device[1], name.length, 0];
  const header = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([pad(Buffer.concat([Buffer.from(header), name])), pad(body)]);
}

function pad(buffer: Buffer): Buffer {
  return Buffer.concat([buffer, Buffer.alloc((4 - (buffer.length % 4)) % 4)]);
}
